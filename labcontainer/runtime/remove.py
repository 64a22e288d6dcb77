"""Removing a container's files, also those that belong to ids which only its user namespace holds.

What is removed has been put away first: its name begins with a dot, nobody finds it any more, and what is left of it
when its remover is killed, the next engine removes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from labcontainer.kernel import process, trace, tree, userns
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.kernel.trace import Role


def remove_tree(directory: Path) -> None:
    """Remove `directory` and all below it; no error if it is gone already.

    An ordinary user cannot remove what a subordinate id has made: then a child enters a user namespace with the same
    maps and removes it from there. The caller must have one thread in that case.

    Raises: OSError.
    """
    try:
        tree.remove_path(directory)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM) or os.geteuid() == 0:
            raise
        _remove_inside(directory)
        tree.remove_path(directory)


def put_away(directory: Path) -> Path:
    """Give a container's directory a name with a dot, so that nobody ever sees half of it; returns that.

    Raises: OSError.
    """
    away = directory.with_name(f".{directory.name}")
    with contextlib.suppress(FileNotFoundError):  # somebody else removes it
        os.rename(directory, away)
    return away


def clear_away(away: Path, *, wait: bool = True) -> None:
    """Remove what was `put_away`; without `wait` only if nobody is just at it: that may take long.

    Raises: OSError.
    """
    with contextlib.suppress(FileNotFoundError, BlockingIOError), tree.opened(away) as fd:
        # An engine that has made the container holds this until it has heard the end (`engine.holding`).
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        remove_tree(away)


def bury(directory: Path) -> None:
    """`put_away` and `clear_away`. Raises: OSError."""
    clear_away(put_away(directory))


def _remove_inside(directory: Path) -> None:
    release, waits = os.pipe2(os.O_CLOEXEC)[::-1]
    child = process.clone3(CloneFlag.CLONE_NEWUSER)
    if child is None:
        # We are the child: root of a user namespace once the parent has written the maps, and only there.
        code = 1
        with contextlib.suppress(OSError):
            trace.become(Role.CHILD)
            os.read(waits, 1)
            process.setresuid(0, 0, 0)
            for entry in directory.iterdir():
                tree.remove_path(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
            code = 0
        os._exit(code)
    try:
        userns.write_maps(child.pid, userns.own_maps())
        os.write(release, b"x")
        process.wait(child)
    finally:
        for fd in (release, waits, child.pidfd):
            os.close(fd)
