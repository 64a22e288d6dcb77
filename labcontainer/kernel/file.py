"""Files of the kernel's own file systems, read and written whole.

A cgroup's limit, a uid map or a sysctl is one write(2) to a small file, and the write's errno is the answer. These
functions make exactly one write, name the path *and* the data when it fails, and show up in the trace.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from labcontainer.errors import KernelError
from labcontainer.kernel import trace
from labcontainer.kernel.hints import hint

T = TypeVar("T")


def write(path: Path | str, data: str) -> None:
    """Write `data` to `path` in one write(2); the file must exist.

    Raises: KernelError (errno, path and data). See: man 2 write
    """

    def one_write() -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, data.encode())
        finally:
            os.close(fd)

    _observed("write", one_write, path=path, data=data)


def read(path: Path | str) -> str:
    """The text of `path`, without the newline at its end.

    Raises: KernelError. See: man 2 read
    """

    def whole() -> str:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts = []
            while part := os.read(fd, 65536):
                parts.append(part)
        finally:
            os.close(fd)
        return b"".join(parts).decode(errors="surrogateescape").rstrip("\n")

    return _observed("read", whole, path=path)


def mkdir(path: Path | str, mode: int = 0o755) -> None:
    """Make the directory `path`.

    Raises: KernelError. See: man 2 mkdir
    """
    _observed("mkdir", lambda: os.mkdir(path, mode), path=path, mode=oct(mode))


def rmdir(path: Path | str) -> None:
    """Remove the empty directory (or the cgroup without processes) `path`.

    Raises: KernelError. See: man 2 rmdir
    """
    _observed("rmdir", lambda: os.rmdir(path), path=path)


def _observed(call: str, act: Callable[[], T], **arguments: object) -> T:
    started_ns = trace.clock()
    try:
        result = act()
    except OSError as error:
        errno = error.errno or 0
        trace.emit(call, arguments, -1, errno, started_ns)
        shown = trace.signature(call, ((name, trace.show(value)) for name, value in arguments.items()))
        raise KernelError(errno, shown, hint(call, errno)) from None
    trace.emit(call, arguments, 0, 0, started_ns)
    return result
