"""Holding a container that is nobody's yet, or no longer: while it is made to be run, and while it is restarted.

An engine that finds it so would take it for one whose engine was killed, or that has ended, and might remove it.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def holding(directory: Path, *, wait: bool = False) -> int:
    """A descriptor that holds the container in `directory` for us until it is closed, or we end.

    Raises: BlockingIOError where another holds it, and we do not `wait`; OSError. See: man 2 flock
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BaseException:
        os.close(fd)
        raise
    return fd
