"""Trees of files that somebody else made: to walk one, and to remove it, however deep it is.

A container can make a directory 5,000 levels deep, with names of 255 bytes: no path of the host is long enough for it
(PATH_MAX is 4,096), no process may hold so many descriptors, and no function may call itself so often. So a directory
is opened from the one above it, at most `_MOST_OPEN` are held at a time, and the way back up is ``..``, which must then
be the directory that we came from.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_MOST_OPEN = 64
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

# enter(fd, names): a directory, and all in it that is no directory. leave(parent, name): it has been walked.
Enter = Callable[[int, list[str]], object]
Leave = Callable[[int, str], object]
# open(parent, name): a directory, opened; None leaves it out.
Open = Callable[[int, str], int | None]


@dataclass(slots=True)
class _Level:
    """One directory on the way down. `fd` is None while it is closed, `below` what is still to be walked in it."""

    name: str
    fd: int | None
    identity: os.stat_result
    below: list[str]


def walk(top: int, enter: Enter, *, leave: Leave | None = None, open: Open | None = None) -> None:
    """Tell `enter` of `top` and of each directory below it, and `leave` when one, and all below it, has been told.

    No link is followed. A directory that cannot be opened is left out, unless `open` says otherwise.

    Raises: OSError (ESTALE: a directory was moved away while we were below it). See: man 2 openat
    """
    levels = [_level("", os.dup(top), enter)]
    try:
        while levels:
            level = levels[-1]
            assert level.fd is not None
            if level.below:
                name = level.below.pop()
                fd = (open or _open)(level.fd, name)
                if fd is not None:
                    levels.append(_level(name, fd, enter))
                    _close(levels[-_MOST_OPEN - 1 : -_MOST_OPEN])
                continue
            levels.pop()
            try:
                if levels:
                    parent = _reopened(levels[-1], level.fd)
                    if leave:
                        leave(parent, level.name)
            finally:
                os.close(level.fd)
    finally:
        _close(levels)


def remove(parent: int, name: str) -> None:
    """Remove the directory `name` of the directory `parent`, and all below it; no error if it is gone already.

    The owner's permissions are taken back where somebody has taken them away (an overlay leaves work/work with mode
    000).

    Raises: OSError. See: man 2 unlinkat, man 2 rmdir
    """
    with contextlib.suppress(FileNotFoundError):
        fd = _open_to_change(parent, name)
        if fd is None:
            return
        try:
            walk(fd, _unlink_all, leave=_rmdir, open=_open_to_change)
        finally:
            os.close(fd)
        _rmdir(parent, name)


def remove_path(directory: Path) -> None:
    """`remove` for a path. Raises: OSError. See: man 2 unlinkat, man 2 rmdir"""
    with contextlib.suppress(FileNotFoundError), opened(directory.parent) as parent:
        remove(parent, directory.name)


@contextlib.contextmanager
def opened(directory: Path) -> Iterator[int]:
    """A descriptor of `directory` while the block lasts. Raises: OSError. See: man 2 open"""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _level(name: str, fd: int, enter: Enter) -> _Level:
    try:
        below: list[str] = []
        others: list[str] = []
        with os.scandir(fd) as entries:
            for entry in entries:
                (below if entry.is_dir(follow_symlinks=False) else others).append(entry.name)
        enter(fd, others)
        return _Level(name, fd, os.fstat(fd), below)
    except BaseException:
        os.close(fd)
        raise


def _reopened(level: _Level, child: int) -> int:
    if level.fd is None:
        level.fd = os.open("..", _DIRECTORY, dir_fd=child)
        if not os.path.samestat(os.fstat(level.fd), level.identity):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), level.name)
    return level.fd


def _close(levels: Iterable[_Level]) -> None:
    for level in levels:
        if level.fd is not None:
            os.close(level.fd)
            level.fd = None


def _open(parent: int, name: str) -> int | None:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except OSError:
        return None


def _open_to_change(parent: int, name: str) -> int | None:
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        return None  # somebody else removes it: the rest is still for us
    except PermissionError:
        os.chmod(name, stat.S_IRWXU, dir_fd=parent)
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
    if os.geteuid() != 0 and os.fstat(fd).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        # One that belongs to another id stays as it is: unlink tells why, in its own words.
        with contextlib.suppress(PermissionError):
            os.fchmod(fd, stat.S_IRWXU)
    return fd


def _unlink_all(directory: int, names: list[str]) -> None:
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)


def _rmdir(parent: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(name, dir_fd=parent)
