"""Between the streams of one process and whoever listens to it: clients come, go, read slowly, or stop reading.

    streams.stdout ──► log ──► every client that has attached     a client that reads slowly slows the process, as a
    streams.stdin  ◄────────── any client                         pipe would; it never stops the keeper itself

Nothing here blocks. What a client has not taken yet waits in memory, up to a bound; beyond it the process's output is
not read until the client has caught up or has gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labcontainer.kernel import pty
from labcontainer.runtime import channel, streams
from labcontainer.runtime.channel import Message
from labcontainer.runtime.log import Log
from labcontainer.runtime.streams import Streams

_MOST_PENDING_BYTES = 1 << 20
_MOST_STDIN_BYTES = 1 << 18
_FAREWELL_S = 10  # how long, at the end, a client may take to read what is left for it
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Client:
    """One connection: what is still to be sent, and whether it wants the output."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.attached = False
        self.pending: deque[bytes] = deque()
        self.pending_bytes = 0
        self.waits = False  # it has sent more stdin than the process takes: it is not read until that is gone
        connection.setblocking(False)


class Relay:
    """The clients of one process and its streams, on the selector of its keeper's loop.

    Every key of the selector carries a function to call. `handle` gets the messages that are not about the streams,
    `gone` hears of a client that has hung up.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        handle: Callable[[Client, Message], None],
        gone: Callable[[Client], None] = lambda client: None,
    ) -> None:
        self.streams = Streams()
        self.clients: list[Client] = []
        self.log: Log | None = None
        self.close_stdin_with_client = True
        self._selector = selector
        self._handle = handle
        self._gone = gone
        self._to_stdin: deque[bytes] = deque()
        self._to_stdin_bytes = 0
        self._stdin_ends = False
        self._reading: set[int] = set()

    # -- clients

    def listen(self, directory: Path) -> Callable[[], None]:
        """Accept clients at ``monitor.sock`` in `directory`; returns the function that ends it. Raises: OSError."""
        path = directory / "monitor.sock"
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with channel.short(path) as address:
            listener.bind(address)
        listener.listen(16)

        def accept() -> None:
            with contextlib.suppress(OSError):
                self.add(listener.accept()[0])

        def end() -> None:
            self._selector.unregister(listener)
            listener.close()
            path.unlink(missing_ok=True)

        self._selector.register(listener, _READ, accept)
        return end

    def add(self, connection: socket.socket) -> Client:
        """Serve one more client."""
        client = Client(connection)
        self.clients.append(client)
        self._watch_client(client)
        return client

    def tell(self, kind: str, **fields: Any) -> None:
        """Send a message to every client."""
        data = json.dumps({"kind": kind, **fields}, separators=(",", ":")).encode()
        for client in list(self.clients):
            self._send(client, data)

    def answer(self, client: Client, kind: str, **fields: Any) -> None:
        """Send a message to one client."""
        self._send(client, json.dumps({"kind": kind, **fields}, separators=(",", ":")).encode())

    def farewell(self) -> None:
        """Let every client take what is left for it, a while at most, and hang up."""
        for client in list(self.clients):
            client.connection.settimeout(_FAREWELL_S)
            with contextlib.suppress(OSError):
                while client.pending:
                    client.connection.send(client.pending.popleft())
            self._forget(client)

    # -- streams

    def attach_streams(self, found: Streams) -> None:
        """Begin to read a process's output, and to write its input."""
        self.streams = found
        self._forget_stdin()
        self._stdin_ends = False
        self._read_on()

    def drain(self) -> None:
        """Read what the pipes still hold after the process has ended, and close them.

        Whoever else holds a pipe open and goes on writing does not keep us: more than a pipe holds is not waited for.
        """
        for name, fd in ((channel.STDOUT, self.streams.stdout), (channel.STDERR, self.streams.stderr)):
            if fd is None:
                continue
            left = streams.waiting_bytes(fd)
            while left > 0 and (data := self._copy(name, fd)):
                left -= data
        for fd in tuple(self._reading):
            self._pause(fd)
        if self.streams.stdin is not None and self.streams.terminal is None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(self.streams.stdin)
        self.streams.close()

    def _outputs(self) -> tuple[tuple[int, int], ...]:
        pairs = ((channel.STDOUT, self.streams.stdout), (channel.STDERR, self.streams.stderr))
        return tuple((name, fd) for name, fd in pairs if fd is not None)

    def _read_on(self) -> None:
        if any(client.pending_bytes > _MOST_PENDING_BYTES for client in self.clients):
            return
        for name, fd in self._outputs():
            if fd not in self._reading:
                self._reading.add(fd)
                self._watch(fd, name)

    def _watch(self, fd: int, name: int) -> None:
        # A terminal is one descriptor in both directions: registered once, for what is needed now.
        writing = fd == self.streams.stdin and bool(self._to_stdin)
        self._register(fd, _READ | (_WRITE if writing else 0), lambda: self._ready(fd, name))

    def _register(self, fd: int | socket.socket, events: int, act: Callable[[], None]) -> None:
        try:
            self._selector.modify(fd, events, act)
        except KeyError:
            self._selector.register(fd, events, act)

    def _ready(self, fd: int, name: int) -> None:
        self._copy(name, fd)
        if fd == self.streams.stdin and self._to_stdin:
            self._feed()

    def _pause(self, fd: int) -> None:
        self._reading.discard(fd)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(fd)

    def _copy(self, name: int, fd: int) -> int:
        """One piece of output to the log and to the clients; its length, 0 where nothing is there now or any more."""
        try:
            data = os.read(fd, channel.CHUNK_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""  # EIO: the terminal's last user has gone
        if not data:
            self._pause(fd)
            return 0
        if self.log:
            self.log.write(name, data)
        packet = bytes([name]) + data
        for client in list(self.clients):
            if client.attached:
                self._send(client, packet)
        return len(data)

    # -- stdin

    def feed(self, data: bytes) -> None:
        """Hand `data` to the process's stdin; empty data closes it once all before has been taken."""
        if self.streams.stdin is None:
            return
        if data:
            self._to_stdin.append(data)
            self._to_stdin_bytes += len(data)
        else:
            self._stdin_ends = True
        self._feed()

    def _feed(self) -> None:
        fd = self.streams.stdin
        if fd is None:
            return
        try:
            while self._to_stdin:
                piece = self._to_stdin[0]
                written = os.write(fd, piece)
                self._to_stdin_bytes -= written
                self._to_stdin.popleft()
                if written < len(piece):
                    self._to_stdin.appendleft(piece[written:])
        except BlockingIOError:
            pass
        except OSError:
            self._forget_stdin()  # the process has closed its stdin: what comes now goes nowhere, as in a pipe
            self._stdin_ends = True
        if self._to_stdin_bytes < _MOST_STDIN_BYTES:
            self._let_clients_speak()
        self._wait_for_stdin(fd)

    def _forget_stdin(self) -> None:
        self._to_stdin.clear()
        self._to_stdin_bytes = 0

    def _let_clients_speak(self) -> None:
        for client in self.clients:
            if client.waits:
                client.waits = False
                self._watch_client(client)

    def _wait_for_stdin(self, fd: int) -> None:
        if fd == self.streams.stdout:
            if fd in self._reading:
                self._watch(fd, channel.STDOUT)
            return
        if self._to_stdin:
            self._register(fd, _WRITE, self._feed)
            return
        with contextlib.suppress(KeyError):
            self._selector.unregister(fd)
        if self._stdin_ends:
            os.close(fd)
            self.streams.stdin = None

    # -- messages

    def _spoke(self, client: Client) -> None:
        try:
            message = channel.receive(client.connection)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            message = None
        if message is None:
            self._forget(client)
        elif message.stream == channel.STDIN:
            if message.data or self.close_stdin_with_client:
                self.feed(message.data)
                client.waits = self._to_stdin_bytes >= _MOST_STDIN_BYTES
                self._watch_client(client)
        elif message.kind == "attach":
            client.attached = True
        elif message.kind == "resize":
            self._resize(message.body)
        else:
            self._handle(client, message)

    def _resize(self, body: dict[str, Any]) -> None:
        if self.streams.terminal is not None:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                pty.set_size(self.streams.terminal, pty.Size(int(body["rows"]), int(body["columns"])))

    def _send(self, client: Client, packet: bytes) -> None:
        client.pending.append(packet)
        client.pending_bytes += len(packet)
        self._flush(client)

    def _flush(self, client: Client) -> None:
        try:
            while client.pending:
                client.connection.send(client.pending[0])
                client.pending_bytes -= len(client.pending.popleft())
        except BlockingIOError:
            pass
        except OSError:
            self._forget(client)
            return
        self._watch_client(client)
        if client.pending_bytes > _MOST_PENDING_BYTES:
            for _, fd in self._outputs():
                self._pause(fd)
        elif not client.pending:
            self._read_on()

    def _watch_client(self, client: Client) -> None:
        if client not in self.clients:
            return
        events = (0 if client.waits else _READ) | (_WRITE if client.pending else 0)
        if events:
            self._register(client.connection, events, lambda: self._both(client))
        else:
            with contextlib.suppress(KeyError):
                self._selector.unregister(client.connection)

    def _both(self, client: Client) -> None:
        if client.pending:
            self._flush(client)
        if client in self.clients and not client.waits:
            self._spoke(client)

    def _forget(self, client: Client) -> None:
        # Output that cannot be sent and the end of the connection are two events, and come together.
        if client not in self.clients:
            return
        with contextlib.suppress(KeyError):
            self._selector.unregister(client.connection)
        client.connection.close()
        self.clients.remove(client)
        self._read_on()
        self._gone(client)
