"""The one place where Python meets the C library.

Every module of ``labcontainer.kernel`` calls ``invoke`` with the name of a system call and its arguments under their
names in the man page, in order. ``invoke`` converts them, makes the call, reads errno, records the call for
`trace`, and raises a `KernelError` that shows the call as one would write it in C. Where Python has a function of its
own for a call, as for chdir, ``observe`` does the same around that.

What glibc wraps is called through glibc; the rest through ``syscall(2)`` by number. Everything goes through this file
rather than ``os.unshare`` and its kind, which exist only from Python 3.12.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from labcontainer.errors import HostError, KernelError
from labcontainer.kernel import trace
from labcontainer.kernel.hints import hint
from labcontainer.kernel.notation import Fields, shown, signature

T = TypeVar("T")


class Buffer:
    """Memory that the Linux kernel may read and write; ``bytes(it)`` reads it back.

    `fields` say what the bytes mean, under the names of the C structure: ``{attr_set=MOUNT_ATTR_RDONLY}``; where the
    Linux kernel fills them in, `decode` says it afterwards.
    """

    __slots__ = ("_decode", "_fields", "_memory")

    def __init__(self, data: bytes, decode: Callable[[bytes], Fields] | None = None, **fields: object) -> None:
        self._memory = ctypes.create_string_buffer(data, len(data))
        self._decode = decode
        self._fields = fields

    @property
    def fields(self) -> Fields:
        """What is in there now."""
        return self._decode(bytes(self)) if self._decode else Fields(self._fields)

    def __bytes__(self) -> bytes:
        return self._memory.raw

    def __len__(self) -> int:
        return len(self._memory)

    @property
    def address(self) -> int:
        """Where it is, for structures that point at others. Keep the buffer alive during the call."""
        return ctypes.addressof(self._memory)


Argument = int | str | bytes | os.PathLike[str] | Buffer | None

_libc = ctypes.CDLL(None, use_errno=True)
# The same library, called without giving up the interpreter's lock: a child born inside a call must own it.
_libc_locked = ctypes.PyDLL(None, use_errno=True)

_IN_GLIBC = frozenset(
    {"mount", "umount2", "unshare", "setns", "sethostname", "setdomainname", "prctl", "setsid"}
    | {"inotify_init1", "inotify_add_watch", "msgget", "fstatfs"}
)

# Since Linux 5.1 a new system call has one number on every architecture; the older ones differ.
# See include/uapi/asm-generic/unistd.h and arch/x86/entry/syscalls/syscall_64.tbl.
_OLD_NUMBERS = {
    "x86_64": {
        "pivot_root": 155, "seccomp": 317, "capget": 125, "capset": 126, "keyctl": 250, "bpf": 321,
        "sched_setattr": 314, "ioprio_set": 251, "set_mempolicy": 238, "personality": 135,
    },
    "aarch64": {
        "pivot_root": 41, "seccomp": 277, "capget": 90, "capset": 91, "keyctl": 219, "bpf": 280,
        "sched_setattr": 274, "ioprio_set": 30, "set_mempolicy": 237, "personality": 92,
    },
}  # fmt: skip
_NUMBERS = {
    "pidfd_send_signal": 424,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
    **_OLD_NUMBERS.get(os.uname().machine, {}),
}


def invoke(call: str, /, **arguments: Argument) -> int:
    """Make one system call and return its result, which is never negative.

    `arguments` carry the man page's names in the man page's order; strings and paths become bytes, None becomes NULL.

    Raises: KernelError (errno, the decoded call, a hint); HostError where this architecture's number is unknown.
    See: man 2 syscall, man 3 errno
    """
    started_ns = trace.clock()
    result, errno = _made(call, arguments)
    trace.emit(call, arguments, result, errno, started_ns)
    if errno:
        raise failure(call, arguments, errno)
    return result


def ask(call: str, /, **arguments: Argument) -> int:
    """Make a system call that changes nothing, of which the trace does not tell. As `invoke` in all else.

    Raises: KernelError, HostError. See: man 2 syscall
    """
    result, errno = _made(call, arguments)
    if errno:
        raise failure(call, arguments, errno)
    return result


def observe(call: str, function: Callable[..., T], /, **arguments: object) -> T:
    """Make one system call through a Python function that takes `arguments` in this order, and return its result.

    Raises: KernelError, as `invoke`. See: man 3 errno
    """
    started_ns = trace.clock()
    try:
        result = function(*arguments.values())
    except OSError as error:
        trace.emit(call, arguments, -1, error.errno or 0, started_ns)
        raise failure(call, arguments, error.errno or 0) from None
    # What was read or written is told by its length, as the Linux kernel does; most calls answer 0.
    trace.emit(call, arguments, _as_c(result), 0, started_ns)
    return result


def failure(call: str, arguments: Mapping[str, object], errno: int) -> KernelError:
    """The error of a call that has failed, to be raised.

    See: man 3 errno
    """
    return KernelError(errno, signature(call, shown(arguments)), hint(call, errno))


class _CloneArgs(ctypes.Structure):
    # struct clone_args of linux/sched.h, as of Linux 5.7.
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls",
            "set_tid", "set_tid_size", "cgroup",
        )
    ]  # fmt: skip


def fork_with_clone3(flags: int, exit_signal: int, cgroup: int) -> tuple[int, int]:
    """Call clone3 so that the child is a whole Python: (0, -1) in the child, (pid or -errno, pidfd) in the parent.

    ``os.fork`` wraps the system call in hooks that take and mend the interpreter's locks; a bare clone3 would skip
    them.
    The hooks are public C functions, so the same three stand around our own call. The caller must have one thread.

    See: man 2 clone, https://docs.python.org/3/c-api/sys.html#c.PyOS_AfterFork_Child
    """
    pidfd = ctypes.c_int(-1)
    arguments = _CloneArgs(flags=flags, pidfd=ctypes.addressof(pidfd), exit_signal=exit_signal, cgroup=cgroup)
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = _libc_locked.syscall(_NUMBERS["clone3"], ctypes.byref(arguments), ctypes.c_size_t(ctypes.sizeof(arguments)))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0, -1
    errno = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    return (pid if pid > 0 else -errno), pidfd.value


def _made(call: str, arguments: Mapping[str, Argument]) -> tuple[int, int]:
    result = _function(call)(*[_to_c(value) for value in arguments.values()])
    return result, ctypes.get_errno() if result == -1 else 0


def _function(call: str) -> Callable[..., int]:
    if call in _IN_GLIBC:
        return cast(Callable[..., int], getattr(_libc, call))
    number = _NUMBERS.get(call)
    if number is None:
        raise HostError(f"the system call {call}", reason=f"its number on {os.uname().machine} is not known here")
    return lambda *arguments: cast(int, _libc.syscall(number, *arguments))


def _to_c(value: Argument) -> object:
    if isinstance(value, bool) or value is None or isinstance(value, bytes):
        return value
    if isinstance(value, int):
        # ctypes passes a bare int as a 32-bit int, which would cut flags and lengths.
        return ctypes.c_long(value)
    if isinstance(value, str | os.PathLike):
        return os.fsencode(value)
    return ctypes.c_void_p(value.address)


def _as_c(result: object) -> int:
    return result if isinstance(result, int) else len(result) if isinstance(result, bytes) else 0
