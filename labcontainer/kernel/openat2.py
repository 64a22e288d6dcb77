"""Opening a path that somebody else chose: openat2(2) resolves it without ever leaving a directory.

A path taken apart in user space can change between the look and the use; here the Linux kernel itself treats a
directory as "/", for ``..`` and for absolute links alike. Lesson 03 teaches why.
"""

from __future__ import annotations

import enum
import os
import struct

from labcontainer.kernel.file import OpenFlag
from labcontainer.kernel.libc import Buffer, invoke
from labcontainer.kernel.notation import Mode


class Resolve(enum.IntFlag):
    """How a path is resolved (``linux/openat2.h``)."""

    RESOLVE_NO_XDEV = 1
    RESOLVE_NO_MAGICLINKS = 2
    RESOLVE_NO_SYMLINKS = 4
    RESOLVE_BENEATH = 8
    RESOLVE_IN_ROOT = 16


def openat2(dirfd: int, pathname: str, flags: int, resolve: Resolve) -> int:
    """Open `pathname` from `dirfd` on; the descriptor is closed on exec.

    Needs: Linux 5.6. Raises: KernelError (ELOOP, EXDEV where `resolve` forbids what the path asks for).
    See: man 2 openat2
    """
    # struct open_how { __u64 flags, mode, resolve; }
    flags |= os.O_CLOEXEC
    how = Buffer(struct.pack("QQQ", flags, 0, resolve), flags=OpenFlag(flags), mode=Mode(0), resolve=resolve)
    return invoke("openat2", dirfd=dirfd, pathname=pathname, how=how, size=len(how))
