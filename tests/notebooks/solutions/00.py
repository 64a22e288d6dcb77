# cell: your-turn-hello
%%child --keep hello --exercise hello
open("/proc/self/comm", "w").write("@hello.name@")
# cell: your-turn-container
%lab run -d --name @container.name@ --hostname @container.hostname@ lab/base sleep 600
lab.check("container")
# cell: your-turn-guard
%%child --root --keep guard --exercise guard
from labcontainer.lessons import daemon

def answer(path, caller):
    if caller.uid != @guard.user@:
        raise PermissionError("not for you")
    return f"welcome, user {caller.uid}"

daemon.serve("guard.sock", answer, mode=0o666)
