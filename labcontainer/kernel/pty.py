"""Pseudo-terminals: what ``-t`` puts between a container and its user.

The container's own devpts makes the pair, so that ``tty`` inside finds its name; the controlling side travels out to
the
monitor over a socket.
"""

from __future__ import annotations

import enum
import fcntl
import os
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass

from labcontainer.kernel.file import OpenFlag
from labcontainer.kernel.libc import observe
from labcontainer.kernel.notation import Fields


class Ioctl(enum.IntEnum):
    """What ioctl(2) is asked of a terminal (``asm-generic/ioctls.h``)."""

    TIOCSCTTY = termios.TIOCSCTTY
    TIOCSWINSZ = termios.TIOCSWINSZ
    TIOCSPTLCK = 0x40045431
    TIOCGPTPEER = 0x5441


@dataclass(frozen=True, slots=True)
class Size:
    """A terminal's size in character cells."""

    rows: int
    columns: int


def open_pair(ptmx: str = "/dev/ptmx") -> tuple[int, int]:
    """A (controller, terminal) pair from the devpts that `ptmx` belongs to; both close-on-exec, not controlling.

    The terminal is opened through the controller (TIOCGPTPEER), never by its path, which a container could replace.

    Raises: KernelError. See: man 4 pts, man 2 TIOCGPTPEER
    """
    flags = OpenFlag.O_RDWR | OpenFlag.O_NOCTTY | OpenFlag.O_CLOEXEC
    controller = observe("open", os.open, pathname=ptmx, flags=flags)
    try:
        observe("ioctl", _ioctl(struct.pack("i", 0)), fd=controller, op=Ioctl.TIOCSPTLCK, argp=[0])
        terminal = observe("ioctl", fcntl.ioctl, fd=controller, op=Ioctl.TIOCGPTPEER, argp=flags)
    except OSError:
        os.close(controller)
        raise
    return controller, terminal


def set_size(fd: int, size: Size) -> None:
    """Tell the terminal its size; the foreground process group gets SIGWINCH.

    Raises: KernelError. See: man 2 TIOCSWINSZ
    """
    packed, winsize = struct.pack("HHHH", size.rows, size.columns, 0, 0), Fields(ws_row=size.rows, ws_col=size.columns)
    observe("ioctl", _ioctl(packed), fd=fd, op=Ioctl.TIOCSWINSZ, argp=winsize)


def make_controlling(fd: int) -> None:
    """Make `fd` the controlling terminal of this process, which must lead a session without one.

    Raises: KernelError. See: man 2 TIOCSCTTY
    """
    observe("ioctl", fcntl.ioctl, fd=fd, op=Ioctl.TIOCSCTTY, argp=0)


def _ioctl(packed: bytes) -> Callable[[int, Ioctl, object], int]:
    # fcntl.ioctl answers with what the Linux kernel has left of `packed`; the call's own result is 0.
    def ioctl(fd: int, op: Ioctl, argp: object) -> int:
        fcntl.ioctl(fd, op, packed)
        return 0

    return ioctl
