"""Who may say what becomes of a container: its monitor, as long as it looks after it; for a moment, who mends it.

The file ``lock`` in the container's directory is locked by the one that has the say. Of two clients that start a
container at once one is refused, and what a monitor has just started is mended by nobody.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_NAME = "lock"
_LATENESS_S = 0.005


def claim(directory: Path, *, patience_s: float = 0) -> int | None:
    """A descriptor that holds the claim on the container in `directory` until it is closed.

    None where another has it, or the container was removed meanwhile. Raises: OSError. See: man 2 flock
    """
    try:
        fd = os.open(directory / _NAME, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (directory / _NAME).exists():
                return fd
            os.close(fd)
            return None
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(fd)
                return None
        time.sleep(_LATENESS_S)
