# cell: your-turn-visitor
%%child --give box --keep visitor --exercise visitor
import os
from labcontainer.kernel import namespaces

doors = [os.open(f"/proc/{box.pid}/ns/{name}", os.O_RDONLY) for name in ("user", "uts")]
for door in doors:
    namespaces.setns(door)
namespaces.sethostname("@visitor.hostname@")
# cell: your-turn-alone
%%child --userns --keep alone --exercise alone
import os
from labcontainer.kernel import mount, namespaces
from labcontainer.kernel.namespaces import CloneFlag

namespaces.unshare(CloneFlag.CLONE_NEWPID | CloneFlag.CLONE_NEWNS | CloneFlag.CLONE_NEWUTS)
namespaces.sethostname("@alone.hostname@")
if os.fork() == 0:
    mount.mount("proc", "/proc", "proc")
