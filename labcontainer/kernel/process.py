"""Making a process, what it may change about itself, becoming a program, and hearing of a process's end.

A pid is a number that the Linux kernel gives again to somebody else; a pidfd is a descriptor of one process and no
other. Everything that outlives a function here is held by pidfd, or by pid and start time together.
"""

from __future__ import annotations

import enum
import errno
import fcntl
import os
import resource
import signal
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from labcontainer.kernel import trace
from labcontainer.kernel.file import OpenFlag
from labcontainer.kernel.libc import failure, fork_with_clone3, invoke, observe
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.kernel.notation import Fields, Mode

# include/uapi/linux/pidfd.h: struct pidfd_info { __u64 mask; __u64 cgroupid; __u32 pid … fsgid (11 of them);
# __s32 exit_code; }, and _IOWR(0xFF, 11, struct pidfd_info).
_PIDFD_INFO_BYTES, _EXIT_CODE_OFFSET = 64, 60
_PIDFD_INFO_EXIT = 1 << 3
_PIDFD_GET_INFO = 0xC040FF0B


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


class Dumpable(enum.IntEnum):
    """Who may look into this process through /proc/PID and ptrace(2) (``linux/sched/coredump.h``)."""

    SUID_DUMP_DISABLE = 0
    SUID_DUMP_USER = 1


class CloseRange(enum.IntFlag):
    """Flags of close_range(2)."""

    CLOSE_RANGE_UNSHARE = 2
    CLOSE_RANGE_CLOEXEC = 4


class ResourceLimit(enum.IntEnum):
    """What setrlimit(2) can limit (``asm-generic/resource.h``)."""

    RLIMIT_CPU = 0
    RLIMIT_FSIZE = 1
    RLIMIT_DATA = 2
    RLIMIT_STACK = 3
    RLIMIT_CORE = 4
    RLIMIT_RSS = 5
    RLIMIT_NPROC = 6
    RLIMIT_NOFILE = 7
    RLIMIT_MEMLOCK = 8
    RLIMIT_AS = 9
    RLIMIT_LOCKS = 10
    RLIMIT_SIGPENDING = 11
    RLIMIT_MSGQUEUE = 12
    RLIMIT_NICE = 13
    RLIMIT_RTPRIO = 14
    RLIMIT_RTTIME = 15


class Infinity(enum.IntEnum):
    """No limit at all."""

    RLIM_INFINITY = -1


class IdType(enum.IntEnum):
    """How waitid(2) is told which process."""

    P_PIDFD = os.P_PIDFD


class WaitFlag(enum.IntFlag):
    """Which changes of a process waitid(2) tells of."""

    WEXITED = os.WEXITED


class SignalCode(enum.IntEnum):
    """How a process has ended (``asm-generic/siginfo.h``)."""

    CLD_EXITED = os.CLD_EXITED
    CLD_KILLED = os.CLD_KILLED
    CLD_DUMPED = os.CLD_DUMPED


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
        trace.forked()
        return None
    arguments: dict[str, object] = {"flags": flags, "exit_signal": signal.SIGCHLD}
    if cgroup is not None:
        arguments["cgroup"] = cgroup
    errno = max(-pid, 0)
    trace.emit("clone3", arguments, max(pid, -1), errno, started_ns, depth=1)
    if errno:
        raise failure("clone3", arguments, errno)
    return Child(pid, pidfd)


def fork() -> int:
    """Fork without new namespaces: 0 in the child, the child's pid in the parent. The caller must have one thread.

    glibc's fork() is the system call clone with no flag but its own and SIGCHLD.

    Raises: KernelError (EAGAIN: the pids limit). See: man 2 fork
    """
    started_ns = trace.clock()
    try:
        pid = os.fork()
    except OSError as error:
        trace.emit("fork", {}, -1, error.errno or 0, started_ns, depth=1)
        raise failure("fork", {}, error.errno or 0) from None
    if pid == 0:
        trace.forked()
    else:
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
    invoke("pidfd_send_signal", pidfd=pidfd, sig=_signal(sig), info=None, flags=0)


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
    told, exited = Fields(), SignalCode.CLD_EXITED

    def waitid(idtype: IdType, id: int, infop: Fields, options: WaitFlag) -> os.waitid_result:
        ended = os.waitid(idtype, id, options)
        assert ended is not None  # only WNOHANG returns None
        # What is told of an exit is its code, of any other end the signal.
        code, status = SignalCode(ended.si_code), ended.si_status
        infop.update(si_pid=ended.si_pid, si_code=code, si_status=status if code is exited else _signal(status))
        return ended

    return exit_code(
        observe("waitid", waitid, idtype=IdType.P_PIDFD, id=child.pidfd, infop=told, options=WaitFlag.WEXITED)
    )


def _signal(number: int) -> int:
    try:
        return signal.Signals(number)
    except ValueError:
        return number  # a real-time signal, which has no name


def exit_code(result: os.waitid_result) -> int:
    """The exit code of a waited-for process as a shell and docker show it: 128 + n after signal n.

    See: man 2 waitid
    """
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status


def setsid() -> int:
    """Lead a new session, which has no controlling terminal.

    Returns: the session's id. Raises: KernelError (EPERM: leads a process group already). See: man 2 setsid
    """
    return invoke("setsid")


def setpgid(pid: int, pgid: int) -> None:
    """Put process `pid` into the process group `pgid`; 0 means the caller, and a group of its own.

    Raises: KernelError. See: man 2 setpgid
    """
    observe("setpgid", os.setpgid, pid=pid, pgid=pgid)


def setresuid(ruid: int, euid: int, suid: int) -> None:
    """Change the real, effective and saved user id; leaving 0 empties the capability sets, but see PR_SET_KEEPCAPS.

    Needs: CAP_SETUID. Raises: KernelError (EINVAL: not mapped in this user namespace). See: man 2 setresuid
    """
    observe("setresuid", os.setresuid, ruid=ruid, euid=euid, suid=suid)


def setresgid(rgid: int, egid: int, sgid: int) -> None:
    """Change the real, effective and saved group id.

    Needs: CAP_SETGID. Raises: KernelError (EINVAL: not mapped in this user namespace). See: man 2 setresgid
    """
    observe("setresgid", os.setresgid, rgid=rgid, egid=egid, sgid=sgid)


def setgroups(groups: Sequence[int]) -> None:
    """Replace the supplementary groups.

    Needs: CAP_SETGID, and a user namespace that does not deny it. Raises: KernelError (EPERM). See: man 2 setgroups
    """
    observe("setgroups", lambda size, groups: os.setgroups(groups), size=len(groups), list=groups)


def setrlimit(limit: ResourceLimit, soft: int, hard: int) -> None:
    """Limit what this process and its children may use; `Infinity.RLIM_INFINITY` is no limit.

    Needs: CAP_SYS_RESOURCE to raise a hard limit. Raises: KernelError (EPERM, EINVAL). See: man 2 setrlimit
    """
    rlim = Fields(rlim_cur=soft, rlim_max=hard)

    def set(limit: ResourceLimit, _: Fields) -> None:
        try:
            resource.setrlimit(limit, (soft, hard))
        except ValueError as error:  # what Python makes of these two errnos
            number = errno.EPERM if "not allowed" in str(error) else errno.EINVAL
            raise OSError(number, os.strerror(number)) from None

    observe("setrlimit", set, resource=limit, rlim=rlim)


def getrlimit(limit: ResourceLimit) -> tuple[int, int]:
    """What this process may use: the soft and the hard limit.

    See: man 2 getrlimit
    """
    return resource.getrlimit(limit)


def umask(mask: int) -> int:
    """Take `mask` out of the permission bits of every file that is made from here on.

    Returns: the mask before. See: man 2 umask
    """
    return observe("umask", os.umask, mask=Mode(mask))


def chdir(path: str | Path) -> None:
    """Change the directory from which relative paths count.

    Raises: KernelError. See: man 2 chdir
    """
    observe("chdir", os.chdir, path=path)


def fchdir(fd: int) -> None:
    """Change to the directory behind `fd`: from here on ``.`` is that one, wherever its name leads meanwhile.

    Raises: KernelError. See: man 2 fchdir
    """
    observe("fchdir", os.fchdir, fd=fd)


def dup2(oldfd: int, newfd: int) -> None:
    """Make `newfd`, which execve does not close, mean what `oldfd` means.

    Raises: KernelError. See: man 2 dup
    """
    observe("dup2", os.dup2, oldfd=oldfd, newfd=newfd)


def pipe2(flags: OpenFlag) -> tuple[int, int]:
    """A pipe's reading and writing end.

    Raises: KernelError (EMFILE). See: man 2 pipe
    """
    pipefd: list[int] = []
    observe("pipe2", lambda pipefd, flags: pipefd.extend(os.pipe2(flags)), pipefd=pipefd, flags=flags)
    return pipefd[0], pipefd[1]


def execve(pathname: str, argv: list[str], envp: Mapping[str, str]) -> NoReturn:
    """Become the program `pathname`; returns only by raising.

    Raises: KernelError (ENOENT: no such file, or no such interpreter or loader; EACCES; ENOEXEC). See: man 2 execve
    """
    arguments = {"pathname": pathname, "argv": argv, "envp": envp}
    started_ns = trace.clock()
    # Told beforehand: afterwards nobody is left here who could tell it.
    trace.emit("execve", arguments, None, 0, started_ns, depth=1)
    try:
        os.execve(pathname, argv, envp)
    except OSError as error:
        trace.emit("execve", arguments, -1, error.errno or 0, started_ns, depth=1)
        raise failure("execve", arguments, error.errno or 0) from None


def exit_code_of(pidfd: int) -> int | None:
    """The exit code of a process that need not be a child of ours, once it has ended and its parent has waited for it.

    Needs: Linux 6.15; before that, and where nobody waits for the process within five seconds, None.
    See: man 2 pidfd_open, include/uapi/linux/pidfd.h (PIDFD_GET_INFO)
    """
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        info = bytearray(_PIDFD_INFO_BYTES)
        struct.pack_into("Q", info, 0, _PIDFD_INFO_EXIT)
        try:
            fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
        except OSError:
            return None
        if struct.unpack_from("Q", info)[0] & _PIDFD_INFO_EXIT:
            code = os.waitstatus_to_exitcode(struct.unpack_from("i", info, _EXIT_CODE_OFFSET)[0])
            return code if code >= 0 else 128 - code
        time.sleep(0.002)
    return None


def become_subreaper() -> None:
    """From here on, orphaned descendants become children of this process instead of PID 1's.

    Raises: KernelError. See: man 2 prctl (PR_SET_CHILD_SUBREAPER)
    """
    prctl(Prctl.PR_SET_CHILD_SUBREAPER, 1)
