"""Two accounts of one process brought to the same words: what strace saw, and what the trace tells.

`seen` and `told` give the same `Call`s, or the glass box lies. The rules by which they translate are all here:

1. What strace calls otherwise is one call: ``mknodat(AT_FDCWD, …)`` is mknod, glibc's fork() is clone, its setrlimit()
   prlimit64. An event may stand for several calls: "write" for open, write and close, "netlink" for a socket's life.
2. NULL and 0 at the end of a call's arguments are left out on both sides.
3. Of a structure that has more fields than an event shows, those in `SHOWN` are compared.
4. A path's file belongs to the container if it is in /proc or /sys, or if an init touches it; what an engine or a
   monitor does to other files is its own bookkeeping.
5. `UNTOLD` lists what is no event, and why. A call that is in no list is an error of the test: somebody must decide.
6. libseccomp asks the Linux kernel what it can do by ``seccomp`` without a filter: that changes nothing.
7. PID 1 of a container with ``--init`` tells nothing more once it has closed its descriptors: it serves from there on.
8. To find libseccomp, Python asks ldconfig, a process of its own; once for each policy, then the program is kept.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from labcontainer.kernel.file import OpenFlag
from labcontainer.kernel.netlink import RTM_NEWLINK
from labcontainer.kernel.notation import show
from labcontainer.kernel.trace import Event
from tests.strace import FORKS, Line, Value, number, value

TOLD = """
    mount umount2 pivot_root chroot open_tree move_mount mount_setattr fsopen fsconfig fsmount fspick
    clone clone3 fork vfork execve execveat unshare setns sethostname setdomainname
    capset capget prctl seccomp setuid setgid setreuid setregid setresuid setresgid setgroups setsid setpgid
    prlimit64 setrlimit umask chdir fchdir dup2 dup3 pipe2 close_range kill tgkill pidfd_open pidfd_send_signal
    mknod mknodat openat2 waitid keyctl bpf personality ptrace reboot
""".split()  # noqa: SIM905  a list of forty words in quotes is not read
ON_FILES = """
    mkdir mkdirat rmdir symlink symlinkat link linkat unlink unlinkat rename renameat renameat2
    chmod fchmod fchmodat chown fchown lchown fchownat truncate
""".split()  # noqa: SIM905
ON_TERMINALS = ("TIOCSCTTY", "TIOCSPTLCK", "TIOCGPTPEER", "TIOCSWINSZ")
UNTOLD = {
    "asks, and changes nothing": """
        stat newfstatat fstat lstat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat getcwd
        getdents64 getxattr lgetxattr llistxattr lseek fcntl ioctl uname sysinfo getuid geteuid getgid getegid getpid
        getppid gettid getpgrp getsid getsockname getsockopt getpeername clock_gettime sched_getaffinity
    """,
    "the interpreter's memory, signals and locks": """
        brk mmap munmap mremap mprotect madvise rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack futex
        set_robust_list set_tid_address rseq getrandom arch_prctl
    """,
    "descriptors, and messages between our own processes": """
        bind listen accept4 connect socketpair sendmsg recvmsg setsockopt shutdown epoll_create1 epoll_ctl epoll_wait
        poll select pselect6 pread64 wait4
    """,
    "the engine's own files": "flock fsync fdatasync ftruncate utimensat memfd_create setxattr lsetxattr",
    "the end": "exit exit_group",
}
SILENT = {call for calls in UNTOLD.values() for call in calls.split()}
SHOWN = {
    "clone3": ("flags", "exit_signal", "cgroup"),
    "waitid": ("si_pid", "si_code", "si_status"),
    "seccomp": ("len",),
    "ioctl": ("ws_row", "ws_col"),
    "openat2": ("flags", "resolve"),
    "bpf": ("prog_type", "insn_cnt", "license", "target_fd", "attach_bpf_fd", "attach_type", "attach_flags"),
}
_SAME = {
    "mkdirat": "mkdir", "mknodat": "mknod", "symlinkat": "symlink", "linkat": "link", "renameat": "rename",
    "renameat2": "rename", "unlinkat": "unlink", "fchmodat": "chmod", "fchownat": "chown", "dup3": "dup2",
    "prlimit64": "setrlimit",
}  # fmt: skip
_AT = {*_SAME, "openat"} - {"dup3", "prlimit64"}
_DIRECTORY = (frozenset({"AT_FDCWD"}), frozenset({"AT_REMOVEDIR"}))
_NOTHING: tuple[Value, ...] = (frozenset(), frozenset({"NULL"}), frozenset({"makedev(0, 0)"}))
# glibc's own, which fork(2) does not mention.
_OF_FORK = {"CLONE_CHILD_CLEARTID", "CLONE_CHILD_SETTID"}
_INFINITY: Value = frozenset({"RLIM_INFINITY"})


class Call(NamedTuple):
    """One call as both accounts name it; `outcome` is a result, an errno's name, or None: it never came back."""

    name: str
    arguments: tuple[Value, ...]
    outcome: int | str | None


def told(events: Iterable[Event]) -> Iterator[Call]:
    """The trace's account."""
    for event in events:
        name, arguments = event.call, tuple(value(text) for _, text in event.arguments)
        if event.call == "fork":
            name, arguments = "clone", (frozenset({"SIGCHLD"}),)
        elif event.call == "clone3":
            arguments = ({argument: value(text) for argument, text in event.arguments},)
        elif event.call in ("mkdirat", "mknodat"):
            name = _SAME[event.call]
        elif event.call == "netlink":
            # strace does not know this message's number by its name.
            arguments = (frozenset({RTM_NEWLINK}),)
        elif event.call == "write" and event.errno == "ENOENT":
            arguments = arguments[:1]
        elif event.call in SHOWN:
            arguments = tuple(_shown(event.call, argument) for argument in arguments)
        yield Call(name, _without_end(arguments), event.errno or event.result)


def seen(lines: Iterable[Line], *, container: bool) -> Iterator[Call]:
    """strace's account of one process up to its execve; `container` says that every file is the container's.

    Reads of files in /proc and /sys are among the calls. The trace need not tell of each.
    """
    reader = _Reader(container=container)
    for line in lines:
        if container and line.call == "close_range" and "CLOEXEC" not in line.text:
            return
        yield from reader.read(line)
        if line.call == "execve" and not line.errno:
            return


def without_helpers(calls: Iterable[Call], helpers: Collection[int]) -> list[Call]:
    """Rule 8: the calls less those by which Python's subprocess starts the processes `helpers`: two pipes, a fork."""
    kept: list[Call] = []
    for call in calls:
        if call.name in FORKS and call.outcome in helpers:
            assert [each.name for each in kept[-2:]] == ["pipe2", "pipe2"]
            del kept[-2:]
        else:
            kept.append(call)
    return kept


def reads(calls: Iterable[Call]) -> list[Call]:
    """The reads, about which neither account is complete: a file may be read by means that tell nobody."""
    return [call for call in calls if call.name == "read"]


def deeds(calls: Iterable[Call]) -> list[Call]:
    """All else."""
    return [call for call in calls if call.name != "read"]


class _Reader:
    """What a process's descriptors stand for, while its lines go by."""

    def __init__(self, *, container: bool) -> None:
        self._container = container
        self._reading: dict[int, tuple[str, int]] = {}  # the path, and how many bytes have come
        self._writing: dict[int, str] = {}
        self._netlink: dict[int, Value] = {}  # the type of the message that was sent

    def read(self, line: Line) -> Iterator[Call]:
        outcome = line.errno or line.result
        match line.call:
            case "open" | "openat":
                yield from self._open(line, outcome)
            case "read" | "write" | "close" | "socket" | "sendto" | "recvfrom":
                yield from self._use(line, outcome)
            case "ioctl" if any(operation in line.text for operation in ON_TERMINALS):
                yield _call(line, outcome)
            case "seccomp" if "SET_MODE_FILTER" not in line.text or line.text.endswith("NULL"):
                return
            case "execve" if not line.errno:
                yield _call(line, None)
            case call if call in ON_FILES:
                if self._is_the_containers(_arguments(line)):
                    yield _call(line, outcome)
            case call if call in TOLD:
                if isinstance(outcome, int) and call == "openat2" and re.search("O_WRONLY|O_RDWR", line.text):
                    self._writing[outcome] = f"/proc/{line.arguments[1]}"  # nothing else is written to by its means
                yield _call(line, outcome)
            case call:
                assert call in SILENT, f"nobody has decided whether the trace tells of {call}({line.text})"

    def _is_the_containers(self, arguments: Iterable[Value]) -> bool:
        paths = (argument for argument in arguments if isinstance(argument, str))
        return self._container or any(path.startswith(("/proc/", "/sys/")) for path in paths)

    def _open(self, line: Line, outcome: int | str | None) -> Iterator[Call]:
        path, flags, *_ = _padded(_arguments(line))
        if not isinstance(path, str):
            return  # named from a descriptor on, while a directory is removed
        assert isinstance(flags, frozenset)
        if not self._is_the_containers([path]) or "O_PATH" in flags or "O_DIRECTORY" in flags:
            return
        if "O_RDWR" in flags:
            yield Call("open", (path, flags), outcome)
        elif not isinstance(outcome, int):
            yield Call("write" if "O_WRONLY" in flags else "read", (path,), outcome)
        elif "O_WRONLY" in flags:
            self._writing[outcome] = path
        else:
            self._reading[outcome] = path, 0

    def _use(self, line: Line, outcome: int | str | None) -> Iterator[Call]:
        if line.call == "socket":
            if "AF_NETLINK" in line.text and isinstance(outcome, int):
                self._netlink[outcome] = ""
            return
        fd = number(line.text.partition(",")[0])
        match line.call:
            case "write" if fd in self._writing:
                yield Call("write", (self._writing[fd], line.arguments[1]), outcome)
            case "read" if fd in self._reading and isinstance(outcome, int):
                path, so_far = self._reading[fd]
                self._reading[fd] = path, so_far + outcome
            case "sendto" if fd in self._netlink:
                self._netlink[fd] = _field(line.arguments[1], "nlmsg_type")
            case "recvfrom" if fd in self._netlink:
                yield Call(
                    "netlink", (self._netlink[fd],), 0 if _field(line.arguments[1], "error") == frozenset() else -1
                )
            case "close":
                self._writing.pop(fd, None)
                self._netlink.pop(fd, None)
                if fd in self._reading:
                    path, so_far = self._reading.pop(fd)
                    yield Call("read", (path,), so_far)


def _call(line: Line, outcome: int | str | None) -> Call:
    name = _SAME.get(line.call, line.call)
    if line.call == "unlinkat" and "AT_REMOVEDIR" in line.text:
        name = "rmdir"
    return Call(name, _arguments(line), outcome)


def _arguments(line: Line) -> tuple[Value, ...]:
    found: list[Value] = []
    for argument in line.arguments:
        if isinstance(argument, dict):
            found.append(_shown(line.call, argument))
        elif not (line.call in _AT and argument in _DIRECTORY):
            found.append(argument)
    if line.call == "clone":
        found = [argument - _OF_FORK for argument in found if isinstance(argument, frozenset) and "SIGCHLD" in argument]
    if line.call == "clone3":
        found = found[:1]  # the second is the structure's size
    if "TIOCGPTPEER" in line.text:
        found[2] = value(show(OpenFlag(number(line.text.split(", ")[2]))))  # strace leaves these flags a number
    if line.call == "prlimit64":
        found = found[1:]  # the first is 0, this process
    return _without_end(tuple(found))


def _shown(call: str, argument: Value) -> Value:
    if not isinstance(argument, dict):
        return argument
    infinite = frozenset({"RLIM64_INFINITY"})
    chosen = {name: argument[name] for name in SHOWN.get(call, argument) if name in argument}
    return {name: _INFINITY if field == infinite else field for name, field in chosen.items()}


def _without_end(arguments: tuple[Value, ...]) -> tuple[Value, ...]:
    while arguments and arguments[-1] in _NOTHING:
        arguments = arguments[:-1]
    return arguments


def _padded(arguments: tuple[Value, ...]) -> tuple[Value, ...]:
    return (*arguments, frozenset(), frozenset())


def _field(message: Value, name: str) -> Value:
    """The first field of that name in what strace decoded of a netlink message."""
    parts = message if isinstance(message, list) else [message]
    return next(part[name] for part in parts if isinstance(part, dict) and name in part)
