"""The one place where Python meets the C library.

Every module of ``labcontainer.kernel`` calls ``invoke`` with the name of a system call and its arguments under their
names in the man page, in order. ``invoke`` converts them, makes the call, reads errno, records the call for
`trace`, and raises a `KernelError` that shows the call as one would write it in C.

What glibc wraps is called through glibc; the rest through ``syscall(2)`` by number. Everything goes through this file
rather than ``os.unshare`` and its kind, which exist only from Python 3.12.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable
from typing import cast

from labcontainer.errors import HostError, KernelError
from labcontainer.kernel import trace
from labcontainer.kernel.hints import hint

# A `buffer` is a ctypes array of char, made by this module for structures that the Linux kernel reads or fills.
Argument = int | str | bytes | os.PathLike[str] | ctypes.Array[ctypes.c_char] | None

_libc = ctypes.CDLL(None, use_errno=True)
# The same library, called without giving up the interpreter's lock: a child born inside a call must own it.
_libc_locked = ctypes.PyDLL(None, use_errno=True)

_IN_GLIBC = frozenset({"mount", "umount2", "unshare", "setns", "sethostname", "setdomainname", "prctl"})

# Since Linux 5.1 a new system call has one number on every architecture; the older ones differ.
# See include/uapi/asm-generic/unistd.h and arch/x86/entry/syscalls/syscall_64.tbl.
_OLD_NUMBERS = {
    "x86_64": {"pivot_root": 155, "seccomp": 317, "capget": 125, "capset": 126, "keyctl": 250, "bpf": 321},
    "aarch64": {"pivot_root": 41, "seccomp": 277, "capget": 90, "capset": 91, "keyctl": 219, "bpf": 280},
}
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
    **_OLD_NUMBERS.get(platform.machine(), {}),
}


def invoke(call: str, /, **arguments: Argument) -> int:
    """Make one system call and return its result, which is never negative.

    `arguments` carry the man page's names in the man page's order; strings and paths become bytes, None becomes NULL.

    Raises: KernelError (errno, the decoded call, a hint); HostError where this architecture's number is unknown.
    See: man 2 syscall, man 3 errno
    """
    function = _function(call)
    converted = [_to_c(value) for value in arguments.values()]
    started_ns = trace.clock()
    result = function(*converted)
    errno = ctypes.get_errno() if result == -1 else 0
    trace.emit(call, arguments, result, errno, started_ns)
    if errno:
        shown = trace.signature(call, ((name, trace.show(value)) for name, value in arguments.items()))
        raise KernelError(errno, shown, hint(call, errno))
    return result


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


def buffer(data: bytes) -> ctypes.Array[ctypes.c_char]:
    """Memory that the Linux kernel may read and write, filled with `data`; ``bytes(it)`` reads it back.

    See: https://docs.python.org/3/library/ctypes.html#ctypes.create_string_buffer
    """
    return ctypes.create_string_buffer(data, len(data))


def pointer_to(value: ctypes.Array[ctypes.c_char]) -> int:
    """The address of a `buffer`, for structures that point at others. Keep the buffer alive during the call.

    See: https://docs.python.org/3/library/ctypes.html#ctypes.addressof
    """
    return ctypes.addressof(value)


def _function(call: str) -> Callable[..., int]:
    if call in _IN_GLIBC:
        return cast(Callable[..., int], getattr(_libc, call))
    number = _NUMBERS.get(call)
    if number is None:
        raise HostError(f"the system call {call}", reason=f"its number on {platform.machine()} is not known here")
    return lambda *arguments: cast(int, _libc.syscall(number, *arguments))


def _to_c(value: Argument) -> object:
    if isinstance(value, bool) or value is None or isinstance(value, bytes):
        return value
    if isinstance(value, int):
        # ctypes passes a bare int as a 32-bit int, which would cut flags and lengths.
        return ctypes.c_long(value)
    if isinstance(value, str | os.PathLike):
        return os.fsencode(value)
    return ctypes.byref(value)
