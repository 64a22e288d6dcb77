"""Places inside a container's root to mount on: each is opened once, and what follows is done to the descriptor.

Another container may share a volume with this one, and exchange a directory in it for a link at any moment: of two
steps that each look a path up, the second may find another place than the first (CVE-2021-30465, CVE-2025-31133).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from labcontainer.errors import KernelError, SpecError
from labcontainer.kernel import file, mount, procfs
from labcontainer.kernel.mount import At, MountAttr, MountFlag, OpenTreeFlag, Tree
from labcontainer.kernel.openat2 import Resolve, openat2
from labcontainer.runtime.mount_options import Change

# What lxcfs and its kind put in the place of the machine's own numbers. See: runc, libcontainer/rootfs_linux.go
_IN_PROC = frozenset(
    f"/proc/{name}"
    for name in (
        "cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo", "net/dev",
        "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled",
    )
)  # fmt: skip


@contextlib.contextmanager
def there(path: str, resolve: Resolve = Resolve.RESOLVE_NO_MAGICLINKS) -> Iterator[int]:
    """A descriptor (O_PATH) of the file or directory at `path`. Raises: KernelError (ENOENT, ELOOP)."""
    fd = openat2(At.AT_FDCWD, path, os.O_PATH, resolve)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def made(path: str, tree: Tree | None = None) -> Iterator[int]:
    """The same where what is missing is made first: a directory, or a file where `tree` is the mount of one.

    Raises: KernelError; SpecError where it leads into /proc, whose files decide what the container may do.
    """
    directory = tree is None or stat.S_ISDIR(os.fstat(tree.fd).st_mode)
    # Images have links here that lead to nothing yet, such as /etc/resolv.conf to somewhere below /run.
    fd = _made(path if os.path.exists(path) else os.path.realpath(path), directory=directory)
    try:
        _refuse_proc(fd, path, tree)
        yield fd
    finally:
        os.close(fd)


def cover(source: int, point: int, change: Change = Change(), *, recursive: bool = False) -> None:
    """Bind what `source` stands for onto what `point` stands for, with attributes of its own. Raises: KernelError."""
    below = OpenTreeFlag.AT_RECURSIVE if recursive else OpenTreeFlag(0)
    tree = mount.open_tree(source, OpenTreeFlag.OPEN_TREE_CLONE | below)
    try:
        mount.move_mount(tree, point)
        if change:
            set_attributes(tree, change)
    finally:
        tree.close()


def set_attributes(tree: Tree, change: Change, *, recursive: bool = False) -> None:
    """Change a mount's attributes; on Linux before 5.12 by a remount that keeps the flags which are there.

    Raises: KernelError.
    """
    try:
        mount.mount_setattr(tree, change.set, change.clear, recursive=recursive)
    except KernelError as error:
        if error.errno != errno.ENOSYS:
            raise
        path = f"/proc/self/fd/{tree.fd}"
        present = MountFlag(os.statvfs(path).f_flag & 0xF)  # ST_RDONLY … ST_NOEXEC have the values of MS_RDONLY …
        wanted = (present & ~MountFlag(int(change.clear) & 0xF)) | MountFlag(int(change.set) & 0xF)
        mount.mount(None, path, None, MountFlag.MS_REMOUNT | MountFlag.MS_BIND | wanted)


def set_propagation(tree: Tree, propagation: MountFlag) -> None:
    """Choose the propagation of a mount that has been put down; on Linux before 5.12 by its path.

    Raises: KernelError.
    """
    kind = propagation & ~MountFlag.MS_REC
    try:
        mount.mount_setattr(tree, MountAttr(0), propagation=kind, recursive=bool(propagation & MountFlag.MS_REC))
    except KernelError as error:
        if error.errno != errno.ENOSYS:
            raise
        mount.set_propagation(f"/proc/self/fd/{tree.fd}", propagation)


def _made(path: str, *, directory: bool) -> int:
    # Asked first: most are there, and a trace full of calls that failed would look like trouble.
    if os.path.lexists(path) or path in ("", "/"):
        return openat2(At.AT_FDCWD, path or "/", os.O_PATH, Resolve.RESOLVE_NO_MAGICLINKS)
    parent, name = os.path.split(path.rstrip("/"))
    above = _made(parent, directory=True)
    try:
        with contextlib.suppress(FileExistsError):  # another container was quicker
            _make(above, name, path, directory=directory)
        return openat2(above, name, os.O_PATH, Resolve.RESOLVE_NO_MAGICLINKS)
    finally:
        os.close(above)


def _make(above: int, name: str, path: str, *, directory: bool) -> None:
    try:
        file.mkdirat(above, name, 0o755) if directory else file.mknodat(above, name, stat.S_IFREG | 0o644)
    except KernelError as error:
        if error.errno == errno.EEXIST:
            raise FileExistsError from None
        raise KernelError(error.errno or 0, error.call, f"the image has no {path} to mount on") from None


def _refuse_proc(fd: int, path: str, tree: Tree | None) -> None:
    place = os.path.normpath(path)
    if procfs.holds(fd) and place not in _IN_PROC:
        raise SpecError(f"{path} leads into /proc: refusing to mount there")
    if tree is not None and place == "/proc" and not procfs.holds(tree.fd):
        raise SpecError(f"{path}: only a procfs can be mounted there")
