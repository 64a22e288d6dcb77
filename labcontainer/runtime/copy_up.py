"""``tmpcopyup``: a tmpfs that begins with the files of the directory on which it is mounted.

Who we are: init, inside the container's root; what is copied is the image's own, and no link in it is followed.
"""

from __future__ import annotations

import os
import stat

from labcontainer.kernel import process


def copy(point: int, new: int) -> None:
    """Copy the directory at `point`, on which nothing is mounted yet, into the directory `new`, which is nowhere yet.

    Raises: OSError.
    """
    hidden = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=point)
    try:
        process.fchdir(new)
        _copy_tree(hidden, ".")
    finally:
        os.close(hidden)


def _copy_tree(source: int, target: str) -> None:
    """Copy what the directory `source` has into `target`, with owners, modes and times."""
    for entry in os.scandir(source):
        status, path = entry.stat(follow_symlinks=False), f"{target}/{entry.name}"
        if entry.is_symlink():
            os.symlink(os.readlink(entry.name, dir_fd=source), path)
        elif entry.is_dir(follow_symlinks=False):
            os.mkdir(path)
            inner = os.open(entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
            try:
                _copy_tree(inner, path)
            finally:
                os.close(inner)
        elif entry.is_file(follow_symlinks=False):
            _copy_file(source, entry.name, path)
        else:
            os.mknod(path, status.st_mode, status.st_rdev)
        os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)
        if not entry.is_symlink():
            os.chmod(path, stat.S_IMODE(status.st_mode))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def _copy_file(directory: int, name: str, target: str) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    with open(fd, "rb") as reading, open(target, "xb") as writing:
        while data := reading.read(1 << 20):
            writing.write(data)
