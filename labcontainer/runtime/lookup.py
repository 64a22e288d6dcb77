"""Paths of a container, looked up in its root: what is there, and where links lead.

>>> describe(root, "/bin/sh")
{'name': 'sh', 'size': 7, 'mode': 134218239, 'mtime': '2026-01-31T12:00:00.000000000Z', 'linkTarget': '/bin/busybox'}

The mode is that of Go's ``os.FileMode``, as in docker's API.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from typing import Any

from labcontainer.errors import KernelError, NotFound, UsageError
from labcontainer.kernel.openat2 import openat2
from labcontainer.runtime.extract import IN_ROOT
from labcontainer.runtime.log import timestamp

# See https://pkg.go.dev/io/fs#FileMode
_GO_TYPES = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
_GO_BITS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}
GO_DIRECTORY, GO_LINK, GO_DEVICE = 1 << 31, 1 << 27, 1 << 26

# Of the NotFound that is raised here, so that it is told from a file of the host.
KIND = "container's file"
# As many as Go's filepath.EvalSymlinks follows.
_MOST_LINKS = 255


def find(root: int, path: str, *, follow: bool = False) -> int:
    """What `path` is below the directory `root`, opened as O_PATH; a link at its end is followed only if asked.

    Raises: NotFound (kind `KIND`), UsageError (a part of it is no directory; links in a circle), KernelError.
    """
    try:
        return openat2(root, path, os.O_PATH | (0 if follow else os.O_NOFOLLOW), IN_ROOT)
    except KernelError as error:
        match error.errno:
            case errno.ENOENT:
                raise NotFound(KIND, path) from None
            case errno.ENOTDIR:
                raise UsageError("path", path, "not a directory") from None
            case errno.ELOOP:
                raise UsageError("path", path, "its links lead round in a circle") from None
            case errno.ENAMETOOLONG:
                raise UsageError("path", path, "it is too long") from None
        raise


def describe(root: int, path: str) -> dict[str, Any]:
    """What is at `path`, under the names of docker's API; a link's ``linkTarget`` is where it leads in the end.

    Raises: as `find`. See: https://docs.docker.com/reference/api/engine/ (X-Docker-Container-Path-Stat)
    """
    fd = find(root, path)
    try:
        status = os.fstat(fd)
    finally:
        os.close(fd)
    is_link = stat.S_ISLNK(status.st_mode)
    return {
        "name": base(path),
        "size": status.st_size,
        "mode": go_mode(status.st_mode),
        "mtime": timestamp(status.st_mtime_ns),
        "linkTarget": _target(root, path) if is_link else "",
    }


def base(path: str) -> str:
    """The last part of `path` as Go's ``filepath.Base`` has it: ``/a/`` is ``a``, ``/a/.`` is ``.``, ``/`` is ``/``."""
    return posixpath.basename(path.rstrip("/")) or "/"


def go_mode(mode: int) -> int:
    """A mode of stat(2) as Go writes it."""
    found = stat.S_IMODE(mode) & 0o777 | _GO_TYPES.get(stat.S_IFMT(mode), 0)
    return found | sum(bit for unix, bit in _GO_BITS.items() if mode & unix)


def _target(root: int, path: str) -> str:
    """Where a link leads, as a path without links as far as there is one: a link may lead nowhere."""
    here, waiting, links = "/", path.split("/")[::-1], 0
    while waiting:
        part = waiting.pop()
        if part in ("", "."):
            continue
        step = posixpath.dirname(here) if part == ".." else posixpath.join(here, part)
        text = _link(root, step)
        if text is None:
            here = step
            continue
        links += 1
        if links > _MOST_LINKS:
            raise UsageError("path", path, "its links lead round in a circle")
        here = "/" if text.startswith("/") else here
        waiting += text.split("/")[::-1]
    return here


def _link(root: int, path: str) -> str | None:
    try:
        fd = openat2(root, path, os.O_PATH | os.O_NOFOLLOW, IN_ROOT)
    except KernelError:
        return None
    try:
        return os.readlink("", dir_fd=fd) if stat.S_ISLNK(os.fstat(fd).st_mode) else None
    finally:
        os.close(fd)
