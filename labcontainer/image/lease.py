"""Leases: content that is being brought in, and to which nothing leads yet, must not be taken for garbage.

    images/leases/<random>     an empty file, locked by the process that brings something in

Whoever brings content in holds a lease from before the first blob until the index leads to it. Who collects garbage
spares every blob that is younger than the oldest lease that is held. A lock goes with its process, so the lease of a
killed one counts no more, and what it has brought is swept.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def hold(directory: Path) -> Iterator[None]:
    """Hold a lease while the block lasts. See: man 2 flock"""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    while True:
        fd, path = tempfile.mkstemp(dir=directory, prefix="")
        fcntl.flock(fd, fcntl.LOCK_EX)
        # Between its making and its lock a collector may have taken it for a dead one's.
        if os.fstat(fd).st_nlink:
            break
        os.close(fd)
    try:
        yield
    finally:
        os.unlink(path)
        os.close(fd)


def oldest_ns(directory: Path) -> int | None:
    """When the oldest lease that somebody holds began; None if nobody holds one. Dead ones are removed."""
    held = []
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(directory):
            with contextlib.suppress(FileNotFoundError):
                fd = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(entry.path)
                except BlockingIOError:
                    held.append(os.fstat(fd).st_mtime_ns)
                finally:
                    os.close(fd)
    return min(held, default=None)
