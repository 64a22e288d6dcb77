"""Standing where this user's containers stand: with root's privilege over namespaces of one's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from labcontainer.kernel import file, mount, namespaces
from labcontainer.kernel.mount import MountFlag
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.kernel.probe.place import Place


def in_namespaces(place: Place, flags: CloneFlag) -> None:
    """Move this process into new namespaces, the way a container of this user gets them.

    Root makes them directly, an ordinary user inside a user namespace. Raises: KernelError. See: man 2 unshare
    """
    if not place.root:
        in_user_namespace()
    private(flags)


def in_user_namespace() -> None:
    """Become root in a user namespace of one's own, where only one's own id is mapped.

    Raises: KernelError. See: man 7 user_namespaces
    """
    uid, gid = os.geteuid(), os.getegid()
    namespaces.unshare(CloneFlag.CLONE_NEWUSER)
    file.write("/proc/self/setgroups", "deny")
    file.write("/proc/self/gid_map", f"0 {gid} 1")
    file.write("/proc/self/uid_map", f"0 {uid} 1")


def private(flags: CloneFlag) -> None:
    """Make new namespaces; what is then mounted stays unseen outside.

    Raises: KernelError. See: man 2 unshare, man 7 mount_namespaces
    """
    namespaces.unshare(flags)
    if flags & CloneFlag.CLONE_NEWNS:
        mount.set_propagation("/", MountFlag.MS_REC | MountFlag.MS_PRIVATE)


@contextmanager
def directory(above: Path | None = None) -> Iterator[Path]:
    """An empty directory that is gone afterwards, with what a child of ours has left in it.

    See: man 3 mkdtemp
    """
    path = Path(mkdtemp(prefix="lab-probe-", dir=above))
    try:
        yield path
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    # An overlay leaves directories without any permission in its workdir, which shutil.rmtree could not enter.
    path.chmod(0o700)
    for entry in os.scandir(path):
        if entry.is_dir(follow_symlinks=False):
            _remove(Path(entry.path))
        else:
            os.unlink(entry.path)
    path.rmdir()
