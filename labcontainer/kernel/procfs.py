"""Writing to /proc, and to nothing that stands in its place (CVE-2025-52881).

What is written there decides what a process may do: its OOM score, its security label, a sysctl. Whoever can put
another file in the way has the write go into a dummy, or to a file of /proc with another meaning. So /proc is opened
once and asked for the type of its file system, and the path below it must cross no mount and no link that leads away.

    >>> from labcontainer.kernel import procfs
    >>> procfs.write("sys/net/ipv4/ip_forward", "1")
"""

from __future__ import annotations

import os
import struct

from labcontainer.errors import HostError
from labcontainer.kernel.file import OpenFlag
from labcontainer.kernel.libc import Buffer, ask, observe
from labcontainer.kernel.openat2 import Resolve, openat2

PROC_SUPER_MAGIC = 0x9FA0  # linux/magic.h

_STATFS_BYTES = 120
_WITHIN = Resolve.RESOLVE_BENEATH | Resolve.RESOLVE_NO_XDEV | Resolve.RESOLVE_NO_MAGICLINKS


def holds(fd: int) -> bool:
    """Whether the file behind `fd` is one of a procfs. Raises: KernelError. See: man 2 statfs (PROC_SUPER_MAGIC)"""
    # struct statfs { long f_type; … }
    buf = Buffer(bytes(_STATFS_BYTES))
    ask("fstatfs", fd=fd, buf=buf)
    return bool(struct.unpack_from("l", bytes(buf))[0] == PROC_SUPER_MAGIC)


def open(path: str, flags: OpenFlag = OpenFlag(0)) -> int:
    """A descriptor of the file `path` below /proc, close-on-exec.

    Needs: Linux 5.6. Raises: HostError where /proc is none; KernelError (EXDEV: a mount is in the way; ELOOP, ENOENT).
    See: man 5 proc, man 2 openat2
    """
    root = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not holds(root):
            raise HostError("/proc", "mount it: mount -t proc proc /proc", "what stands there is no procfs")
        return openat2(root, path, flags, _WITHIN)
    finally:
        os.close(root)


def write(path: str, data: str) -> None:
    """Write `data` to the file `path` below /proc, in one write(2).

    Raises: HostError, KernelError (as `open`, and what the file itself refuses). See: man 2 write
    """
    fd = open(path, OpenFlag.O_WRONLY)
    try:
        write_to(fd, path, data)
    finally:
        os.close(fd)


def write_to(fd: int, path: str, data: str) -> None:
    """Write `data` to `fd`, which `open` has opened for `path`. Raises: KernelError. See: man 2 write"""
    observe("write", lambda path, data: os.write(fd, data.encode()), path=f"/proc/{path}", data=data)
