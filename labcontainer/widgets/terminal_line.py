"""A line to a process: bytes both ways between an engine's connection and whoever looks at them.

    type ──► queue ──► connection ──► monitor ──► the process's stdin
    show ◄─────────── connection ◄── monitor ◄── its output

One thread does both, and neither way waits for the other. As long as `held` says so nothing is read: the monitor then
stops reading, and at last the process stops writing, as it would at a slow terminal.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable

from labcontainer.errors import LabError
from labcontainer.runtime.channel import CHUNK_BYTES
from labcontainer.runtime.client import Connection

_LOOK_EVERY_MS = 500
# A program that writes a line at a time is shown fifty times a second, and not ten thousand times.
_SHOW_EVERY_S, _MOST_AT_ONCE_BYTES = 0.02, 1 << 16


class Line:
    """`show(data)` gets the output, `ended(exit_code)` the end: None where the connection was lost."""

    def __init__(
        self,
        connection: Connection,
        *,
        show: Callable[[bytes], object],
        ended: Callable[[int | None], object],
        held: Callable[[], bool],
    ) -> None:
        self._connection = connection
        self._show, self._ended, self._held = show, ended, held
        self._queue: deque[bytes] = deque()
        self._over = False
        self._shown = 0.0
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def type(self, data: bytes) -> None:
        """Hand `data` to the process's stdin, after what was typed before; returns at once."""
        self._queue.extend(data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES))
        self.wake()

    def resize(self, rows: int, columns: int) -> None:
        """Tell the process's terminal its size."""
        with contextlib.suppress(OSError):
            self._connection.resize(rows, columns)

    def wake(self) -> None:
        """Have the thread ask `held` again."""
        with self._lock:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Hang up. The process goes on, and `ended` is not called."""
        self._over = True
        self.wake()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        code = None
        try:
            while not self._over and code is None:
                code = self._once()
        except (LabError, OSError):
            code = None  # its monitor was killed
        finally:
            over, self._over = self._over, True
            with self._lock:
                os.close(self._wake)
                self._wake = -1
            self._connection.close()
        if not over:
            self._ended(code)

    def _once(self) -> int | None:
        """Wait for something to do, and do it; the exit code, once there is one."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        reading = 0 if self._held() else select.POLLIN
        writing = select.POLLOUT if self._queue else 0
        if reading | writing:
            poll.register(self._connection, reading | writing)
        ready = dict(poll.poll(_LOOK_EVERY_MS))
        if ready.pop(self._wake, 0):
            os.eventfd_read(self._wake)
        events = ready.get(self._connection.fileno(), 0)
        if events & select.POLLOUT and self._connection.offer(self._queue[0]):
            self._queue.popleft()
        return self._hear() if reading and events & (select.POLLIN | select.POLLHUP | select.POLLERR) else None

    def _hear(self) -> int | None:
        """Show what has come, with what else comes in a moment, if something was shown a moment ago."""
        pieces: list[bytes] = []
        try:
            code = self._receive(pieces)
            poll = select.poll()
            poll.register(self._connection, select.POLLIN)
            while code is None and sum(map(len, pieces)) < _MOST_AT_ONCE_BYTES:
                left_s = self._shown + _SHOW_EVERY_S - time.monotonic()
                if left_s <= 0 or not poll.poll(left_s * 1000):
                    break
                code = self._receive(pieces)
            return code
        finally:
            if pieces:
                self._shown = time.monotonic()
                self._show(b"".join(pieces))

    def _receive(self, pieces: list[bytes]) -> int | None:
        message = self._connection.receive()
        if message.stream is not None:
            pieces.append(message.data)
        elif message.kind == "exited" and not message.body.get("again"):
            return int(message.body["exit_code"])
        return None
