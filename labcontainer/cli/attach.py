"""A terminal's side of a container in the foreground: bytes both ways, signals passed on, raw mode always undone."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty as terminal
from collections.abc import Callable, Collection, Iterator
from types import FrameType

import click

from labcontainer.cli.keys import DetachKeys
from labcontainer.engine import Container
from labcontainer.errors import LabError
from labcontainer.runtime.channel import CHUNK_BYTES
from labcontainer.runtime.client import Connection

_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
Kill = Callable[[int], object]


def attached(
    connection: Connection,
    *,
    interactive: bool,
    tty: bool,
    kill: Kill | None,
    start: bool = False,
    detach_keys: str = "",
    shown: Collection[int] = (1, 2),
) -> int:
    """Stay with a process until it has ended, or the keys are pressed; returns its exit code, 0 when detached.

    `kill` gets the signals that come to us; None leaves them their usual effect. `start` has its command begin first;
    of its streams those that are `shown` are printed.
    """
    keys = DetachKeys(detach_keys if tty else "")
    # Without -i nobody would read a ctrl-C: then our terminal goes on to make a SIGINT of it, which we pass on.
    with _signals(kill), _sized(connection, wanted=tty), _raw(interactive and tty and sys.stdin.isatty()):
        if start:
            connection.start()
        return _Pump(connection, keys if tty else None, interactive=interactive, shown=shown).run()


class _Pump:
    """Bytes both ways. Neither way waits for the other: `cat` of a large file would else stand still for ever."""

    def __init__(
        self, connection: Connection, keys: DetachKeys | None, *, interactive: bool, shown: Collection[int]
    ) -> None:
        self._shown = shown
        self._connection = connection
        self._keys = keys
        self._stdin: int | None = sys.stdin.fileno() if interactive else None
        self._untaken: bytes | None = None

    def run(self) -> int:
        while True:
            wanted: list[Connection | int] = [self._connection]
            if self._stdin is not None and self._untaken is None:
                wanted.append(self._stdin)
            waiting = [] if self._untaken is None else [self._connection]
            ready, writable, _ = select.select(wanted, waiting, [])
            if self._connection in ready:
                code = self._hear()
                if code is not None:
                    return code
            if self._untaken is not None:
                if writable:
                    self._offer(self._untaken)
            elif self._stdin in ready and self._type():
                return 0

    def _hear(self) -> int | None:
        message = self._connection.receive()
        if message.stream is not None:
            if message.stream in self._shown:
                _write(message.stream, message.data)
        elif message.kind == "exited" and not message.body.get("again"):
            return int(message.body["exit_code"])
        return None

    def _type(self) -> bool:
        """Pass on what was typed; whether the detach keys were among it."""
        assert self._stdin is not None
        try:
            data = os.read(self._stdin, CHUNK_BYTES)
        except OSError:
            data = b""  # EIO: the terminal has gone
        if not data:
            self._stdin = None
            self._offer(b"")
            return False
        detached = False
        if self._keys is not None:
            data, detached = self._keys.take(data)
        if data:
            self._offer(data)
        return detached

    def _offer(self, data: bytes) -> None:
        self._untaken = None if self._connection.offer(data) else data


class _Closed(BrokenPipeError):
    """Whoever read our stdout or stderr has gone."""


@contextlib.contextmanager
def staying(container: Container) -> Iterator[None]:
    """Where nobody reads our output any more (``lab run … | head``), say that the container stays, and exit 1.

    It is what docker does, also with ``--rm``: that a reader has enough is no reason to end what may be at work.
    """
    try:
        yield
    except _Closed:
        with contextlib.suppress(OSError):
            text = f"lab: nobody reads the output any more; container {container.short_id} goes on: lab stop ends it"
            click.echo(text, err=True)
        sys.exit(1)


def _write(stream: int, data: bytes) -> None:
    try:
        while data:
            data = data[os.write(stream, data) :]
    except BrokenPipeError as error:
        raise _Closed(*error.args) from None


@contextlib.contextmanager
def _sized(connection: Connection, *, wanted: bool) -> Iterator[None]:
    """The container's terminal is as large as ours, now and whenever ours changes."""

    def resize(*_: object) -> None:
        size = os.get_terminal_size(sys.stdin.fileno())
        connection.resize(size.lines, size.columns)

    if not wanted or not sys.stdin.isatty():
        yield
        return
    resize()
    before = signal.signal(signal.SIGWINCH, resize)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


@contextlib.contextmanager
def _signals(kill: Kill | None) -> Iterator[None]:
    """What would end us goes to the container's PID 1 instead, as docker's --sig-proxy does."""
    if kill is None:
        yield
        return

    def pass_on(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(LabError):
            kill(number)

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


def check_terminal(*, tty: bool, interactive: bool) -> None:
    """Raises: click.UsageError where a terminal is asked for, and stdin is none."""
    if tty and interactive and not sys.stdin.isatty():
        raise click.UsageError("-t with -i needs a terminal, and stdin is none; leave -t out")
