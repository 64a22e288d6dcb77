"""Trials: making processes, and holding on to them."""

from __future__ import annotations

import errno
import os
import signal

from labcontainer.errors import HostError
from labcontainer.kernel import process
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.kernel.probe import remedy
from labcontainer.kernel.probe.place import Place
from labcontainer.kernel.probe.report import STARTS_CONTAINERS, Status
from labcontainer.kernel.probe.trial import Trial, start


def trials(place: Place) -> tuple[Trial, ...]:
    """What the engine's own processes need.

    See: man 2 clone, man 2 pidfd_open, man 2 ptrace
    """
    return (
        Trial("clone3", "clone3: a process straight into namespaces", STARTS_CONTAINERS, _clone3),
        Trial("pidfd", "pidfd: a hold on a process", STARTS_CONTAINERS, _pidfd),
        Trial("subreaper", "orphans come to the engine", STARTS_CONTAINERS, _subreaper),
        Trial("ptrace", "looking into a neighbour process (strace -p)", (), _ptrace, Status.DEGRADED, _mend_ptrace),
    )


def _clone3(place: Place) -> str:
    child = process.clone3(CloneFlag(0))
    if child is None:
        os._exit(7)
    code = process.wait(child)
    if code != 7:
        raise HostError("clone3", reason=f"a child made by clone3 ended with {code}, not with 7")
    return "a child was made by clone3 and waited for by its descriptor"


def _pidfd(place: Place) -> str:
    child = start(signal.pause)
    pidfd = process.pidfd_open(child.pid)
    process.pidfd_send_signal(pidfd, signal.SIGTERM)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    return "a signal sent through a descriptor ended a child"


def _subreaper(place: Place) -> str:
    process.become_subreaper()
    orphan = start(lambda: start(signal.pause).pid).answer()
    os.kill(orphan, signal.SIGKILL)
    os.waitpid(orphan, 0)
    return "an orphaned grandchild became our child"


def _ptrace(place: Place) -> str:
    neighbour = start(signal.pause)

    def look() -> None:
        # What PTRACE_ATTACH would be asked, too, without stopping anybody.
        os.close(os.open(f"/proc/{neighbour.pid}/mem", os.O_RDONLY))

    start(look).answer()
    return "a process opened the memory of its neighbour"


def _mend_ptrace(error: OSError, place: Place) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return "sudo sysctl -w kernel.yama.ptrace_scope=0"
    return remedy.general(error, place)
