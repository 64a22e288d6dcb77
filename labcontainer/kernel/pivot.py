"""Changing the root: the step after which the host's files are out of reach.

chroot(2) moves only this process's idea of ``/`` and can be undone from inside; pivot_root(2) moves the root of the
whole
mount namespace, and the old one can then be unmounted. Lesson 03 shows the escape from the first.
"""

from __future__ import annotations

from pathlib import Path

from labcontainer.kernel.libc import invoke
from labcontainer.kernel.mount import UmountFlag, umount2
from labcontainer.kernel.process import chdir


def pivot_root(new_root: str | Path, put_old: str | Path) -> None:
    """Make `new_root` the root of this mount namespace and attach the old root at `put_old`.

    Needs: CAP_SYS_ADMIN; `new_root` a mount point; neither it nor the current root on a shared mount.
    Raises: KernelError. See: man 2 pivot_root
    """
    invoke("pivot_root", new_root=new_root, put_old=put_old)


def enter(new_root: str | Path) -> None:
    """Make `new_root` this process's root, with the old root stacked underneath ``.`` until `leave_old_root`.

    Both arguments of pivot_root may be ``.``: no directory for the old root is needed, so a read-only image will do.
    Until the old root is detached, paths from ``/`` already stay inside the new one.

    Raises: KernelError. See: man 2 pivot_root (pivot_root(".", "."))
    """
    chdir(new_root)
    pivot_root(".", ".")


def leave_old_root() -> None:
    """Detach what `enter` has left stacked on the root: from here on no path leads to the host's files.

    Raises: KernelError. See: man 2 pivot_root (pivot_root(".", "."))
    """
    chdir("/")  # the new one: a path that begins there does not climb onto what is mounted on it, but umount2 does
    umount2(".", UmountFlag.MNT_DETACH)
