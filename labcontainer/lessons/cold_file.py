"""Files that no memory holds a copy of yet, and the disk that they are on: for experiments with the page cache.

>>> make(lab.directory / "big", 64)
>>> disk(lab.directory)
PosixPath('/dev/sda')
"""

from __future__ import annotations

import os
from pathlib import Path

from labcontainer.errors import HostError
from labcontainer.kernel import proc

_MIB = 1 << 20
# Their files are memory themselves: nothing is read from a disk.
_IN_MEMORY = ("tmpfs", "ramfs")


def make(path: Path, size_mib: int) -> Path:
    """Write a file of that size to a disk, and have the Linux kernel forget what it has of it in memory.

    Raises: HostError where `path` is on no disk. See: man 2 posix_fadvise
    """
    kind = _mount(path.parent).filesystemtype
    if kind in _IN_MEMORY:
        remedy = "set LABCONTAINER_ROOT to a directory on a disk before you start Jupyter"
        raise HostError("a file outside of memory", remedy, f"{path.parent} is on a {kind}")
    block = os.urandom(_MIB)
    with path.open("wb", buffering=0) as file:
        for _ in range(size_mib):
            file.write(block)
        os.fsync(file.fileno())
    path.chmod(0o644)
    forget(path)
    return path


def forget(path: Path) -> None:
    """Have the Linux kernel drop its copy of the file: what is read next comes from the disk.

    See: man 2 posix_fadvise (POSIX_FADV_DONTNEED)
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)  # what is not written yet cannot be dropped
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def disk(path: Path) -> Path:
    """The whole disk that the file or directory `path` is on, as a device file.

    Raises: HostError where there is none that limits could name. See: man 5 sysfs (/sys/dev/block)
    """
    number = path.stat().st_dev
    device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if device.exists():
        place = device.resolve()
        name = place.parent.name if (place / "partition").exists() else place.name
        if Path("/dev", name).is_block_device():
            return Path("/dev", name)
    kind = _mount(path).filesystemtype
    remedy = "set LABCONTAINER_ROOT to a directory on ext4 or xfs before you start Jupyter"
    raise HostError(f"a limit of the disk below {path}", remedy, f"its file system ({kind}) is on no single disk")


def _mount(path: Path) -> proc.Mount:
    """The mount that `path` is on: the deepest one above it, and of those in one place the last."""
    resolved = path.resolve()
    above = [each for each in proc.mountinfo() if Path(each.target) in (resolved, *resolved.parents)]
    return max(reversed(above), key=lambda each: len(Path(each.target).parts))
