"""A terminal's side of a container in the foreground: bytes both ways, signals passed on, raw mode always undone."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty as terminal
from collections.abc import Iterator
from types import FrameType

from labcontainer.engine import Container
from labcontainer.errors import LabError
from labcontainer.runtime.channel import CHUNK_BYTES
from labcontainer.runtime.client import Connection

_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def attached(container: Container, connection: Connection, *, interactive: bool, tty: bool) -> int:
    """Start the container and stay with it until it has ended; returns its exit code."""
    # Without -i nobody would read a ctrl-C: then our terminal goes on to make a SIGINT of it, which we pass on.
    with _signals(container), _sized(connection, wanted=tty), _raw(interactive and tty and sys.stdin.isatty()):
        connection.start()
        return _pump(connection, interactive=interactive)


def _pump(connection: Connection, *, interactive: bool) -> int:
    wanted: list[Connection | int] = [connection, sys.stdin.fileno()] if interactive else [connection]
    while True:
        ready, _, _ = select.select(wanted, [], [])
        if connection in ready:
            message = connection.receive()
            if message.stream is not None:
                _write(message.stream, message.data)
            elif message.kind == "exited":
                return int(message.body["exit_code"])
        elif ready:
            data = os.read(sys.stdin.fileno(), CHUNK_BYTES)
            connection.feed(data)
            if not data:
                wanted = [connection]


def _write(stream: int, data: bytes) -> None:
    while data:
        data = data[os.write(stream, data) :]


@contextlib.contextmanager
def _sized(connection: Connection, *, wanted: bool) -> Iterator[None]:
    """The container's terminal is as large as ours, now and whenever ours changes."""

    def resize(*_: object) -> None:
        size = os.get_terminal_size(sys.stdin.fileno())
        connection.resize(size.lines, size.columns)

    if not wanted:
        yield
        return
    resize()
    before = signal.signal(signal.SIGWINCH, resize)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


@contextlib.contextmanager
def _signals(container: Container) -> Iterator[None]:
    """What would end us goes to the container's PID 1 instead, as docker's --sig-proxy does."""

    def pass_on(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(LabError):
            container.kill(number)

    before = {number: signal.signal(number, pass_on) for number in _PASSED_ON}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _raw(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    terminal.setraw(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
