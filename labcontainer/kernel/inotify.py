"""To be told when something changes in a directory, rather than to look again and again."""

from __future__ import annotations

import enum
import os
from pathlib import Path

from labcontainer.kernel.libc import invoke


class Watch(enum.IntFlag):
    """What one wants to hear of, and what one hears (``sys/inotify.h``)."""

    IN_MODIFY = 0x2
    IN_ATTRIB = 0x4
    IN_CLOSE_WRITE = 0x8
    IN_MOVED_FROM = 0x40
    IN_MOVED_TO = 0x80
    IN_CREATE = 0x100
    IN_DELETE = 0x200
    IN_DELETE_SELF = 0x400
    IN_MOVE_SELF = 0x800


def inotify_init1(flags: int = 0) -> int:
    """A descriptor that becomes readable when something watched has changed; it is closed on exec.

    Raises: KernelError (EMFILE: this user has fs.inotify.max_user_instances already). See: man 2 inotify_init
    """
    return invoke("inotify_init1", flags=flags | os.O_CLOEXEC)


def inotify_add_watch(fd: int, pathname: Path | str, mask: Watch) -> int:
    """Watch a file, or a directory and the entries in it (not those of its subdirectories).

    Raises: KernelError (ENOENT; ENOSPC: this user has fs.inotify.max_user_watches already).
    See: man 2 inotify_add_watch
    """
    return invoke("inotify_add_watch", fd=fd, pathname=pathname, mask=mask)
