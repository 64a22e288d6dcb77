"""The test run's own init: a parent that takes in orphans, so that no process can leave a test unseen.

    supervisor S (subreaper) ── pytest P ── whatever a test starts
          └── whatever was orphaned on the way: a zygote, a monitor, a container

A daemon that a test leaves behind is adopted by S instead of PID 1, so that "the descendants of S" is the exact set of
this run's processes, whatever else happens on the machine. S reaps the dead at once, as PID 1 would, and ends what is
left when pytest has ended.

As root the run also gets a mount namespace of its own, with the propagation that it found, and a parent of its own for
its cgroups: what others mount and run meanwhile is not seen.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from labcontainer.errors import KernelError
from labcontainer.kernel import mount, namespaces, proc, process
from labcontainer.kernel.cgroup import delegation

# Set in the environment of P, so that a pytest started by a test does not fork again.
MARK = "LABCONTAINER_TESTS_SUPERVISOR"


def start() -> int:
    """Put a supervisor above this process and return its pid; it is called before any thread exists."""
    if MARK in os.environ:
        return int(os.environ[MARK])
    _leave_the_hosts_mounts()
    os.environ.setdefault(delegation.VARIABLE, f"{delegation.NAME}-tests-{os.getpid()}")
    process.become_subreaper()
    pid = os.fork()
    if pid:
        _supervise(pid)
    # Here runs P: pytest, with everything that the process held before the fork.
    process.prctl(process.Prctl.PR_SET_CHILD_SUBREAPER, 0)
    process.prctl(process.Prctl.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ[MARK] = str(os.getppid())
    return os.getppid()


def descendants(pid: int) -> set[int]:
    """Every process below `pid`; one that ends meanwhile may or may not be among them."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        try:
            below = proc.children(waiting.pop())
        except OSError:
            continue
        waiting += [child for child in below if child not in found]
        found.update(below)
    return found


def _leave_the_hosts_mounts() -> None:
    shared = any(mount_.target == "/" and "shared:" in mount_.propagation for mount_ in proc.mountinfo())
    try:
        namespaces.unshare(namespaces.CloneFlag.CLONE_NEWNS)
    except KernelError:
        return  # an ordinary user can leave no mount on the host either
    mount.set_propagation("/", mount.MountFlag.MS_REC | mount.MountFlag.MS_PRIVATE)
    if shared:
        mount.set_propagation("/", mount.MountFlag.MS_REC | mount.MountFlag.MS_SHARED)


def _supervise(pytest: int) -> None:
    # Here runs S: it never returns. The terminal's signals reach P by themselves, as it is in the same process group.
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: os.kill(pytest, received))
    dead = 0
    while dead != pytest:
        dead, status = os.wait()
    while left := descendants(os.getpid()):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.wait()
    for base in Path("/sys/fs/cgroup").rglob(os.environ[delegation.VARIABLE]):
        with contextlib.suppress(OSError):
            base.rmdir()
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)
