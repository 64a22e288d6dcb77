"""Files, as the Linux kernel's own file systems and a container's root need them: one call a function.

A cgroup's limit, a uid map or a sysctl is one write(2) to a small file, and the write's errno is the answer. `write`
makes exactly one, and names the path *and* the data when it fails.
"""

from __future__ import annotations

import enum
import errno
import os
from pathlib import Path

from labcontainer.errors import KernelError
from labcontainer.kernel.libc import observe
from labcontainer.kernel.notation import Device, Mode


class OpenFlag(enum.IntFlag):
    """How a file is opened (``asm-generic/fcntl.h``); O_RDONLY is none of them set."""

    O_WRONLY = os.O_WRONLY
    O_RDWR = os.O_RDWR
    O_CREAT = os.O_CREAT
    O_EXCL = os.O_EXCL
    O_NOCTTY = os.O_NOCTTY
    O_TRUNC = os.O_TRUNC
    O_APPEND = os.O_APPEND
    O_NONBLOCK = os.O_NONBLOCK
    O_DIRECTORY = os.O_DIRECTORY
    O_NOFOLLOW = os.O_NOFOLLOW
    O_PATH = os.O_PATH
    O_CLOEXEC = os.O_CLOEXEC


def write(path: Path | str, data: str) -> None:
    """Write `data` to `path` in one write(2); the file must exist.

    Raises: KernelError (errno, path and data). See: man 2 write
    """
    observe("write", _write_once, path=path, data=data)


def read(path: Path | str) -> str:
    """The text of `path`, without the newline at its end.

    Raises: KernelError. See: man 2 read
    """
    return observe("read", _read_whole, path=path).decode(errors="surrogateescape").rstrip("\n")


def mkdir(path: Path | str, mode: int = 0o755) -> None:
    """Make the directory `path`.

    Raises: KernelError. See: man 2 mkdir
    """
    observe("mkdir", os.mkdir, path=path, mode=Mode(mode))


def make_directories(path: str) -> None:
    """Make the directory `path`, and those above it, where they are missing.

    Raises: KernelError. See: man 2 mkdir
    """
    # Asked first: most are there, and a trace in which mkdir failed time and again would look like trouble.
    if os.path.isdir(path):
        return
    above = os.path.dirname(path.rstrip("/"))
    if above and above != path:
        make_directories(above)
    try:
        mkdir(path, 0o777)
    except KernelError as error:
        if error.errno != errno.EEXIST or not os.path.isdir(path):
            raise


def rmdir(path: Path | str) -> None:
    """Remove the empty directory (or the cgroup without processes) `path`.

    Raises: KernelError. See: man 2 rmdir
    """
    observe("rmdir", os.rmdir, path=path)


def mknod(path: Path | str, mode: int, device: int = 0) -> None:
    """Make a device node, a fifo, or an empty file, as the file's type in `mode` says.

    Needs: CAP_MKNOD for devices, in the first user namespace. Raises: KernelError. See: man 2 mknod
    """
    observe("mknod", os.mknod, pathname=path, mode=Mode(mode), dev=Device(device))


def mkdirat(dirfd: int, path: str, mode: int = 0o755) -> None:
    """Make the directory `path`, counted from `dirfd`.

    Raises: KernelError (EEXIST). See: man 2 mkdirat
    """
    observe("mkdirat", lambda dirfd, path, mode: os.mkdir(path, mode, dir_fd=dirfd), dirfd=dirfd, path=path,
            mode=Mode(mode))  # fmt: skip


def mknodat(dirfd: int, path: str, mode: int) -> None:
    """Make an empty file or a fifo, as the file's type in `mode` says, at `path` counted from `dirfd`.

    Raises: KernelError (EEXIST). See: man 2 mknodat
    """
    observe("mknodat", lambda dirfd, path, mode: os.mknod(path, mode, dir_fd=dirfd), dirfd=dirfd, pathname=path,
            mode=Mode(mode))  # fmt: skip


def symlink(target: str, path: Path | str) -> None:
    """Make the symbolic link `path`, which leads to `target`.

    Raises: KernelError (EEXIST). See: man 2 symlink
    """
    observe("symlink", os.symlink, target=target, linkpath=path)


def chmod(path: Path | str, mode: int) -> None:
    """Set the permission bits of `path`, whatever the umask.

    Raises: KernelError. See: man 2 chmod
    """
    observe("chmod", os.chmod, pathname=path, mode=Mode(mode))


def chown(path: Path | str, owner: int, group: int) -> None:
    """Give `path` to a user and a group.

    Needs: CAP_CHOWN. Raises: KernelError. See: man 2 chown
    """
    observe("chown", os.chown, pathname=path, owner=owner, group=group)


def fchown(fd: int, owner: int, group: int) -> None:
    """Give the file behind `fd` to `owner` and `group`; -1 leaves either as it is.

    Raises: KernelError (EPERM, EINVAL: not mapped in this user namespace). See: man 2 fchown
    """
    observe("fchown", os.fchown, fd=fd, owner=owner, group=group)


def _write_once(path: Path | str, data: str) -> int:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        return os.write(fd, data.encode())
    finally:
        os.close(fd)


def _read_whole(path: Path | str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
    finally:
        os.close(fd)
    return b"".join(parts)
