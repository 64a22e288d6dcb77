"""Pseudo-terminals: what ``-t`` puts between a container and its user.

The container's own devpts makes the pair, so that ``tty`` inside finds its name; the controlling side travels out to
the
monitor over a socket.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from dataclasses import dataclass

# asm-generic/ioctls.h; not in Python's termios
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441


@dataclass(frozen=True, slots=True)
class Size:
    """A terminal's size in character cells."""

    rows: int
    columns: int


def open_pair(ptmx: str = "/dev/ptmx") -> tuple[int, int]:
    """A (controller, terminal) pair from the devpts that `ptmx` belongs to; both close-on-exec, not controlling.

    The terminal is opened through the controller (TIOCGPTPEER), never by its path, which a container could replace.

    Raises: OSError. See: man 4 pts, man 2 TIOCGPTPEER
    """
    controller = os.open(ptmx, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(controller, _TIOCSPTLCK, struct.pack("i", 0))
        terminal = fcntl.ioctl(controller, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        os.close(controller)
        raise
    return controller, terminal


def set_size(fd: int, size: Size) -> None:
    """Tell the terminal its size; the foreground process group gets SIGWINCH.

    Raises: OSError. See: man 2 TIOCSWINSZ
    """
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", size.rows, size.columns, 0, 0))


def get_size(fd: int) -> Size:
    """The size of the terminal `fd`.

    Raises: OSError (ENOTTY). See: man 2 TIOCGWINSZ
    """
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    return Size(rows, columns)


def make_controlling(fd: int) -> None:
    """Make `fd` the controlling terminal of this process, which must lead a session without one.

    Raises: OSError. See: man 2 TIOCSCTTY
    """
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
