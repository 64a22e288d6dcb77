"""What the world looks like from inside another process's namespaces.

    >>> look_inside(box.pid).hostname
    'boxy'

A helper with one thread joins every namespace in which the process differs from us, and looks around there: the answers
are the Linux kernel's, and the process itself is not asked. Run as ``python -I -m labcontainer.lessons.inside PID``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

from labcontainer.errors import HostError
from labcontainer.kernel import namespaces
from labcontainer.runtime import fault, sight
from labcontainer.runtime.sight import Sight

# First the user namespace: in it we may be root, which the others ask for.
_ORDER = ("user", "mnt", "uts", "ipc", "net", "cgroup", "time", "pid")

_ANSWER_SECONDS = 30


def look_inside(pid: int) -> Sight:
    """What a process in the namespaces of process `pid` sees.

    Needs: to be root, or the owner of its user namespace. Raises: KernelError (ENOENT: it has ended); HostError.
    """
    command = [sys.executable, "-I", "-m", "labcontainer.lessons.inside", str(pid)]
    done = subprocess.run(command, capture_output=True, timeout=_ANSWER_SECONDS, check=False)
    if not done.stdout:
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2] or f"exit code {done.returncode}"
        raise HostError(f"a look into process {pid}", reason=reason)
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise fault.from_json(answer["error"])
    return Sight.from_json(answer["sight"])


def main() -> None:
    """Join the namespaces of the process in argv, and say on stdout what is seen."""
    try:
        _join(int(sys.argv[1]))
        # A PID namespace is joined by the next child only: so a child does the looking.
        pid = os.fork()
        if pid == 0:
            print(json.dumps({"sight": _look().to_json()}), flush=True)  # noqa: T201  the answer
            os._exit(0)
        os.waitpid(pid, 0)
    except Exception as error:  # noqa: BLE001  whatever it is, the asker must hear of it in words
        print(json.dumps({"error": fault.to_json(error)}))  # noqa: T201  the answer


def _join(pid: int) -> None:
    # All are opened first: after the mount namespace has changed, /proc may be another.
    # Not every Linux kernel has every kind: those for one CPU have no time namespaces.
    theirs, ours = namespaces.inodes(pid), namespaces.inodes()
    differ = [name for name in _ORDER if theirs.get(name) != ours.get(name)]
    opened = [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in differ]
    for fd in opened:
        namespaces.setns(fd)


def _look() -> Sight:
    seen = sight.look()
    ours = {os.getpid(), os.getppid()} if _sees_itself() else set()
    return replace(seen, processes=tuple(each for each in seen.processes if each.pid not in ours))


def _sees_itself() -> bool:
    # In a /proc that was mounted for another PID namespace our number is somebody else's.
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


if __name__ == "__main__":
    main()
