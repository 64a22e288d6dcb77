"""Mounting: the old interface, mount(2), and the new one in which a mount is a descriptor.

With the new calls (Linux 5.2) a tree is first taken hold of (`open_tree`) and only later put somewhere (`move_mount`).
Between the two a container's init changes its root, so a path inside the container can never lead the source astray.
Lesson 03 teaches both.
"""

from __future__ import annotations

import enum
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from labcontainer.kernel.libc import Buffer, invoke


class At(enum.IntEnum):
    """What stands where a path's directory could be named by a descriptor (``linux/fcntl.h``)."""

    AT_FDCWD = -100


class MountFlag(enum.IntFlag):
    """Flags of mount(2) (``linux/mount.h``)."""

    MS_RDONLY = 1
    MS_NOSUID = 2
    MS_NODEV = 4
    MS_NOEXEC = 8
    MS_SYNCHRONOUS = 16
    MS_REMOUNT = 32
    MS_MANDLOCK = 64
    MS_DIRSYNC = 128
    MS_NOSYMFOLLOW = 256
    MS_NOATIME = 1024
    MS_NODIRATIME = 2048
    MS_BIND = 4096
    MS_MOVE = 8192
    MS_REC = 16384
    MS_SILENT = 32768
    MS_UNBINDABLE = 1 << 17
    MS_PRIVATE = 1 << 18
    MS_SLAVE = 1 << 19
    MS_SHARED = 1 << 20
    MS_RELATIME = 1 << 21
    MS_I_VERSION = 1 << 23
    MS_STRICTATIME = 1 << 24
    MS_LAZYTIME = 1 << 25


class UmountFlag(enum.IntFlag):
    """Flags of umount2(2)."""

    MNT_FORCE = 1
    MNT_DETACH = 2
    MNT_EXPIRE = 4
    UMOUNT_NOFOLLOW = 8


class OpenTreeFlag(enum.IntFlag):
    """Flags of open_tree(2)."""

    OPEN_TREE_CLONE = 1
    AT_SYMLINK_NOFOLLOW = 0x100
    AT_EMPTY_PATH = 0x1000
    AT_RECURSIVE = 0x8000
    OPEN_TREE_CLOEXEC = os.O_CLOEXEC


class MoveMountFlag(enum.IntFlag):
    """Flags of move_mount(2)."""

    MOVE_MOUNT_F_EMPTY_PATH = 4
    MOVE_MOUNT_T_SYMLINKS = 0x10
    MOVE_MOUNT_T_EMPTY_PATH = 0x40


class MountAttr(enum.IntFlag):
    """Attributes of a mount, for mount_setattr(2) and fsmount(2)."""

    MOUNT_ATTR_RDONLY = 0x1
    MOUNT_ATTR_NOSUID = 0x2
    MOUNT_ATTR_NODEV = 0x4
    MOUNT_ATTR_NOEXEC = 0x8
    MOUNT_ATTR_NOATIME = 0x10
    MOUNT_ATTR_STRICTATIME = 0x20
    MOUNT_ATTR__ATIME = 0x70
    MOUNT_ATTR_NODIRATIME = 0x80
    MOUNT_ATTR_NOSYMFOLLOW = 0x200000


class FsopenFlag(enum.IntFlag):
    """Flags of fsopen(2)."""

    FSOPEN_CLOEXEC = 1


class FsmountFlag(enum.IntFlag):
    """Flags of fsmount(2)."""

    FSMOUNT_CLOEXEC = 1


class FsconfigCommand(enum.IntEnum):
    """Commands of fsconfig(2)."""

    FSCONFIG_SET_FLAG = 0
    FSCONFIG_SET_STRING = 1
    FSCONFIG_CMD_CREATE = 6


_PROPAGATION = MountFlag.MS_PRIVATE | MountFlag.MS_SLAVE | MountFlag.MS_SHARED | MountFlag.MS_UNBINDABLE


@dataclass(frozen=True, slots=True)
class Tree:
    """A mount held by a descriptor (close-on-exec), not yet, or no longer, at a path."""

    fd: int

    def close(self) -> None:
        """Let go; a tree that was never put anywhere is unmounted with it."""
        os.close(self.fd)


def mount(
    source: str | Path | None,
    target: str | Path,
    filesystemtype: str | None = None,
    flags: MountFlag = MountFlag(0),
    data: str | None = None,
) -> None:
    """Attach a file system, bind a directory, or change a mount that is there.

    Needs: CAP_SYS_ADMIN in the owner of the mount namespace. `data` is at most one page, 4095 bytes.
    Raises: KernelError. See: man 2 mount
    """
    invoke("mount", source=source, target=target, filesystemtype=filesystemtype, mountflags=flags, data=data)


def umount2(target: str | Path, flags: UmountFlag = UmountFlag(0)) -> None:
    """Detach the topmost mount at `target`; with MNT_DETACH at once, and for real when nobody uses it any more.

    Raises: KernelError (EBUSY: still used; EINVAL: no mount there, or locked). See: man 2 umount
    """
    invoke("umount2", target=target, flags=flags)


def set_propagation(target: str | Path, flags: MountFlag) -> None:
    """Make `target` private, slave, shared or unbindable (with MS_REC: and all below it).

    Raises: KernelError. See: man 7 mount_namespaces
    """
    assert flags & _PROPAGATION
    mount(None, target, None, flags)


def open_tree(path: str | Path | int, flags: OpenTreeFlag) -> Tree:
    """Take hold of the mount at `path`, or of what a descriptor stands for; with OPEN_TREE_CLONE of a copy of it.

    Needs: Linux 5.2; for a clone CAP_SYS_ADMIN. Raises: KernelError. See: man 2 open_tree
    """
    flags |= OpenTreeFlag.OPEN_TREE_CLOEXEC
    dfd, name = (path, "") if isinstance(path, int) else (At.AT_FDCWD, path)
    if isinstance(path, int):
        flags |= OpenTreeFlag.AT_EMPTY_PATH
    return Tree(invoke("open_tree", dfd=dfd, filename=name, flags=flags))


def move_mount(tree: Tree, target: str | Path | int, flags: MoveMountFlag = MoveMountFlag(0)) -> None:
    """Put `tree` at the path `target`, whose last part must not be a symbolic link, or on what a descriptor stands for.

    Needs: Linux 5.2. Raises: KernelError. See: man 2 move_mount
    """
    flags |= MoveMountFlag.MOVE_MOUNT_F_EMPTY_PATH
    dfd, name = (target, "") if isinstance(target, int) else (At.AT_FDCWD, target)
    if isinstance(target, int):
        flags |= MoveMountFlag.MOVE_MOUNT_T_EMPTY_PATH
    invoke("move_mount", from_dfd=tree.fd, from_pathname="", to_dfd=dfd, to_pathname=name, flags=flags)


def mount_setattr(
    target: str | Path | Tree,
    set: MountAttr,
    clear: MountAttr = MountAttr(0),
    *,
    propagation: MountFlag = MountFlag(0),
    recursive: bool = False,
) -> None:
    """Set and clear attributes of one mount and choose its propagation; with `recursive` of all mounted below it, too.

    Unlike a remount this touches no attribute that it does not name, so it works on mounts that a parent namespace has
    locked. Needs: Linux 5.12. Raises: KernelError (ENOSYS before that). See: man 2 mount_setattr
    """
    fd, path = (target.fd, "") if isinstance(target, Tree) else (At.AT_FDCWD, target)
    flags = OpenTreeFlag.AT_EMPTY_PATH if isinstance(target, Tree) else OpenTreeFlag(0)
    if recursive:
        flags |= OpenTreeFlag.AT_RECURSIVE
    # struct mount_attr { __u64 attr_set, attr_clr, propagation, userns_fd; }
    packed = struct.pack("=4Q", set, clear, propagation, 0)
    attributes = Buffer(packed, attr_set=set, attr_clr=clear, propagation=propagation, userns_fd=0)
    invoke("mount_setattr", dfd=fd, path=path, flags=flags, uattr=attributes, usize=len(attributes))


def fsopen(filesystemtype: str) -> int:
    """A descriptor in which a file system is configured step by step, before anything is mounted.

    Needs: Linux 5.2, CAP_SYS_ADMIN. Raises: KernelError. See: man 2 fsopen
    """
    return invoke("fsopen", fsname=filesystemtype, flags=FsopenFlag.FSOPEN_CLOEXEC)


def fsconfig(fd: int, command: FsconfigCommand, key: str | None = None, value: str | None = None) -> None:
    """Give one option to, or create, the file system that `fd` configures. A string has at most 255 bytes.

    Raises: KernelError. See: man 2 fsconfig
    """
    invoke("fsconfig", fs_fd=fd, cmd=command, key=key, value=value, aux=0)


def fsmount(fd: int, attributes: MountAttr = MountAttr(0)) -> Tree:
    """The file system that `fd` has created, as a tree to be put somewhere with `move_mount`.

    Raises: KernelError. See: man 2 fsmount
    """
    return Tree(invoke("fsmount", fs_fd=fd, flags=FsmountFlag.FSMOUNT_CLOEXEC, attr_flags=attributes))
