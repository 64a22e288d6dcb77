"""Making a process, holding on to it, and hearing of its end.

A pid is a number that the Linux kernel gives again to somebody else; a pidfd is a descriptor of one process and no
other. Everything that outlives a function here is held by pidfd, or by pid and start time together.
"""

from __future__ import annotations

import enum
import os
import signal
from dataclasses import dataclass

from labcontainer.errors import KernelError
from labcontainer.kernel import trace
from labcontainer.kernel.hints import hint
from labcontainer.kernel.libc import fork_with_clone3, invoke
from labcontainer.kernel.namespaces import CloneFlag


class Prctl(enum.IntEnum):
    """Operations of prctl(2) that a container needs (``linux/prctl.h``)."""

    PR_SET_PDEATHSIG = 1
    PR_SET_DUMPABLE = 4
    PR_SET_KEEPCAPS = 8
    PR_SET_NAME = 15
    PR_CAPBSET_READ = 23
    PR_CAPBSET_DROP = 24
    PR_SET_SECUREBITS = 28
    PR_SET_CHILD_SUBREAPER = 36
    PR_SET_NO_NEW_PRIVS = 38
    PR_CAP_AMBIENT = 47


class CloseRange(enum.IntFlag):
    """Flags of close_range(2)."""

    CLOSE_RANGE_UNSHARE = 2
    CLOSE_RANGE_CLOEXEC = 4


@dataclass(frozen=True, slots=True)
class Child:
    """A process made by `clone3`: its pid as its parent sees it, and a pidfd that the owner closes."""

    pid: int
    pidfd: int


def clone3(flags: CloneFlag, *, cgroup: int | None = None) -> Child | None:
    """Fork a child straight into new namespaces; None is returned in the child.

    With `cgroup` (a descriptor of a cgroup v2 directory) the child is born in that cgroup. One call makes every
    namespace
    but the cgroup's, whose root would be the cgroup in which the *parent* stands: `namespaces.unshare` makes that one.

    Needs: a caller with one thread; CAP_SYS_ADMIN unless `flags` has CLONE_NEWUSER; Linux 5.3, for `cgroup` 5.7.
    Raises: KernelError (ENOSPC: too many namespaces; EPERM: user namespaces are refused). See: man 2 clone
    """
    flags |= CloneFlag.CLONE_PIDFD
    if cgroup is not None:
        flags |= CloneFlag.CLONE_INTO_CGROUP
    started_ns = trace.clock()
    pid, pidfd = fork_with_clone3(flags, signal.SIGCHLD, cgroup or 0)
    if pid == 0:
        return None
    arguments = {"flags": flags, "exit_signal": int(signal.SIGCHLD), "cgroup": cgroup}
    errno = max(-pid, 0)
    trace.emit("clone3", arguments, max(pid, -1), errno, started_ns, depth=1)
    if errno:
        shown = trace.signature("clone3", ((name, trace.show(value)) for name, value in arguments.items()))
        raise KernelError(errno, shown, hint("clone3", errno))
    return Child(pid, pidfd)


def fork() -> int:
    """Fork without new namespaces: 0 in the child, the child's pid in the parent. The caller must have one thread.

    Raises: KernelError (EAGAIN: the pids limit). See: man 2 fork
    """
    started_ns = trace.clock()
    try:
        pid = os.fork()
    except OSError as error:
        trace.emit("fork", {}, -1, error.errno or 0, started_ns, depth=1)
        raise KernelError(error.errno or 0, "fork()", hint("clone3", error.errno or 0)) from None
    if pid:
        trace.emit("fork", {}, pid, 0, started_ns, depth=1)
    return pid


def pidfd_open(pid: int) -> int:
    """A descriptor of the process `pid`, readable once it has ended. It is close-on-exec.

    Needs: Linux 5.3. Raises: KernelError (ESRCH: no such process). See: man 2 pidfd_open
    """
    return invoke("pidfd_open", pid=pid, flags=0)


def pidfd_send_signal(pidfd: int, sig: int) -> None:
    """Send `sig` to exactly the process that `pidfd` was opened for.

    Raises: KernelError (ESRCH: it has ended and been waited for). See: man 2 pidfd_send_signal
    """
    invoke("pidfd_send_signal", pidfd=pidfd, sig=int(sig), info=None, flags=0)


def prctl(option: Prctl, arg2: int | bytes = 0, arg3: int = 0, arg4: int = 0, arg5: int = 0) -> int:
    """Change or read an attribute of this process; the result is `option`'s.

    Raises: KernelError. See: man 2 prctl
    """
    return invoke("prctl", option=option, arg2=arg2, arg3=arg3, arg4=arg4, arg5=arg5)


def close_range(first: int, last: int = 0xFFFFFFFF, flags: CloseRange = CloseRange(0)) -> None:
    """Close the descriptors `first` to `last`, or mark them close-on-exec.

    Needs: Linux 5.9. Raises: KernelError. See: man 2 close_range
    """
    invoke("close_range", first=first, last=last, flags=flags)


def wait(child: Child) -> int:
    """Wait for `child` to end and return its exit code as a shell shows it: 128 + n after signal n.

    Raises: ChildProcessError if it is not a child of this process. See: man 2 waitid
    """
    result = os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED)
    assert result is not None  # only WNOHANG returns None
    return exit_code(result)


def exit_code(result: os.waitid_result) -> int:
    """The exit code of a waited-for process as a shell and docker show it: 128 + n after signal n.

    See: man 2 waitid
    """
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status


def become_subreaper() -> None:
    """From here on, orphaned descendants become children of this process instead of PID 1's.

    Raises: KernelError. See: man 2 prctl (PR_SET_CHILD_SUBREAPER)
    """
    prctl(Prctl.PR_SET_CHILD_SUBREAPER, 1)
