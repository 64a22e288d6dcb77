"""A copy of the interpreter in memory that nobody can write to: what every process in or near a container runs from.

    /usr/bin/python3 ── copied ──► memfd, sealed ── execve ──► zygote ── fork ──► monitor, init, exec, PID 1 of --init

In a container's PID namespace, /proc/PID/exe of a process that has not yet become its command opens the program that it
runs: the host's Python, for the container's root to overwrite (CVE-2019-5736). Of this copy there is nothing to
overwrite, and it costs a container nothing: the zygote is started from it, all else is forked. Not being dumpable keeps
such a process from being looked into; the copy also holds against who is not stopped by that, for want of a user
namespace around a CAP_SYS_PTRACE. ``lab-runtime`` has no zygote: only for a container of that kind it executes itself
once more, from a copy.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_NAME = "lab-python"
_MFD_EXEC = 0x10  # linux/memfd.h


@contextlib.contextmanager
def interpreter() -> Iterator[int]:
    """A descriptor of a sealed copy of the Python that runs us, or of the file where what is in memory is not executed.

    Raises: OSError. See: man 2 memfd_create, man 2 F_ADD_SEALS
    """
    try:
        writing = _memory()
    except PermissionError:  # sysctl vm.memfd_noexec=2
        with open(sys.executable, "rb") as itself:
            yield itself.fileno()
        return
    try:
        with open(sys.executable, "rb") as source, open(writing, "wb", closefd=False) as copy:
            shutil.copyfileobj(source, copy)
        fcntl.fcntl(writing, fcntl.F_ADD_SEALS, _SEALS)
        # Opened anew: the Linux kernel executes no file that somebody could write to (ETXTBSY), not even a sealed one.
        reading = os.open(f"/proc/self/fd/{writing}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(writing)
    try:
        yield reading
    finally:
        os.close(reading)


def become() -> None:
    """Execute this program once more, from the start and with the same arguments, from a copy; unless it is one.

    Raises: OSError. See: man 2 execve
    """
    if not os.readlink("/proc/self/exe").startswith(f"/memfd:{_NAME}"):
        with interpreter() as python:
            if os.readlink(f"/proc/self/fd/{python}").startswith("/memfd:"):
                os.execve(f"/proc/self/fd/{python}", [sys.executable, *sys.orig_argv[1:]], os.environ)


def _memory() -> int:
    flags = os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC
    with contextlib.suppress(OSError):
        return os.memfd_create(_NAME, flags | _MFD_EXEC)
    return os.memfd_create(_NAME, flags)  # a Linux kernel before 6.3, which has no such flag
