"""The overlay file system: layers below, one writable directory above, and their union.

    lowerdir   read-only layers, the topmost first
    upperdir   every change lands here: copies of changed files, whiteouts of removed ones
    workdir    scratch space of the overlay itself, on the same file system as upperdir
    merged     what a process inside sees

Lesson 04 teaches it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labcontainer.errors import UsageError
from labcontainer.kernel import mount
from labcontainer.kernel.mount import FsconfigCommand, MountFlag, MoveMountFlag

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Overlay:
    """What is to be mounted; without `upperdir` and `workdir` the union is read-only.

    With `userxattr` the overlay keeps its marks in ``user.overlay.*``, the only ones that a user namespace may write;
    it renames no directory of a lower layer then. `redirect_dir` ``off`` forbids that without `userxattr`, too.
    """

    lowerdirs: tuple[Path, ...]
    upperdir: Path | None = None
    workdir: Path | None = None
    userxattr: bool = False
    redirect_dir: str | None = None

    def options(self) -> str:
        """The option string of mount(2): ``lowerdir=/a:/b,upperdir=/u,workdir=/w``.

        See: https://docs.kernel.org/filesystems/overlayfs.html
        """
        parts = ["lowerdir=" + ":".join(_escape(path, also=":") for path in self.lowerdirs)]
        parts += [f"{name}={_escape(Path(value))}" for name, value in self._pairs() if value]
        return ",".join(parts + (["userxattr"] if self.userxattr else []))

    def mount(self, target: str | Path) -> None:
        """Mount the union at `target`.

        Options that do not fit into the page that mount(2) takes go one layer at a time through fsconfig(2).

        Needs: CAP_SYS_ADMIN in the owner of the mount namespace; Linux 5.11 in a user namespace; more than about 40
        layers: 6.5. Raises: KernelError. See: man 2 mount, https://docs.kernel.org/filesystems/overlayfs.html
        """
        if not self.lowerdirs:
            raise UsageError("lowerdirs", (), "an overlay needs at least one layer below")
        options = self.options()
        if len(os.fsencode(options)) < _PAGE_BYTES:
            mount.mount("overlay", target, "overlay", MountFlag(0), options)
        else:
            self._mount_by_descriptor(target)

    def _mount_by_descriptor(self, target: str | Path) -> None:
        fd = mount.fsopen("overlay")
        try:
            for path in self.lowerdirs:
                mount.fsconfig(fd, FsconfigCommand.FSCONFIG_SET_STRING, "lowerdir+", str(path))
            for name, value in self._pairs():
                mount.fsconfig(fd, FsconfigCommand.FSCONFIG_SET_STRING, name, value)
            if self.userxattr:
                mount.fsconfig(fd, FsconfigCommand.FSCONFIG_SET_FLAG, "userxattr")
            mount.fsconfig(fd, FsconfigCommand.FSCONFIG_CMD_CREATE)
            tree = mount.fsmount(fd)
        finally:
            os.close(fd)
        try:
            mount.move_mount(tree, target, MoveMountFlag.MOVE_MOUNT_T_SYMLINKS)
        finally:
            tree.close()

    def _pairs(self) -> Sequence[tuple[str, str]]:
        named = (("upperdir", self.upperdir), ("workdir", self.workdir), ("redirect_dir", self.redirect_dir))
        return [(name, str(value)) for name, value in named if value]


def is_whiteout(status: os.stat_result) -> bool:
    """Whether a file of the upperdir says "removed": a character device 0:0.

    See: https://docs.kernel.org/filesystems/overlayfs.html#whiteouts-and-opaque-directories
    """
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(directory: str | Path) -> bool:
    """Whether a directory of the upperdir hides everything of the same name below it.

    See: https://docs.kernel.org/filesystems/overlayfs.html#whiteouts-and-opaque-directories
    """
    for name in ("trusted.overlay.opaque", "user.overlay.opaque"):
        try:
            if os.getxattr(directory, name, follow_symlinks=False) == b"y":
                return True
        except OSError:
            continue
    return False


def _escape(path: Path, also: str = "") -> str:
    text = str(path).replace("\\", "\\\\").replace(",", "\\,")
    return text.replace(":", "\\:") if also else text
