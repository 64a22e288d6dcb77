"""Messages between the client, the zygote, a monitor and an init: datagrams on a unix socket.

    client              monitor                         init
      │ create(bundle) ──►│ ── clone3 ──────────────────► │ waits
      │                   │ ── id maps, "go" ───────────► │ stages 1 … 9
      │ ◄── created ──────│ ◄── ready ─────────────────── │ waits before execve
      │ start ───────────►│ ── start ───────────────────► │ execve closes the channel
      │ ◄── started ──────│ ◄── end of file ───────────── │
      │ ◄── \\x01 output ───│ ◄── pipes ─────────────────── │ the command runs
      │ ◄── exited ───────│ ◄── pidfd ─────────────────── ┘

A message is one datagram: a JSON object, or a byte 1 or 2 and then what the container wrote to stdout or stderr, or
a byte 0 and what goes to its stdin. SOCK_SEQPACKET keeps messages apart and tells of the other side's end.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STDIN, STDOUT, STDERR = 0, 1, 2
CHUNK_BYTES = 32768

_MESSAGE_BYTES = 131072
_MOST_DESCRIPTORS = 8


@dataclass(frozen=True, slots=True)
class Message:
    """What came: `body` of a JSON message, or `stream` and `data`; `fds` belong to the receiver, close-on-exec."""

    body: dict[str, Any]
    stream: int | None = None
    data: bytes = b""
    fds: tuple[int, ...] = ()

    @property
    def kind(self) -> str:
        """The JSON message's ``kind``; empty for stream data."""
        return str(self.body.get("kind", ""))


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a new channel, both close-on-exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


@contextlib.contextmanager
def short(path: Path) -> Iterator[str]:
    """An address for the socket at `path`: it may have 107 bytes, but through its directory's descriptor all fit.

    See: man 7 unix
    """
    directory = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def send(connection: socket.socket, kind: str, *, fds: Sequence[int] = (), **fields: Any) -> None:
    """Send one JSON message, with descriptors if need be.

    Raises: OSError (EPIPE where the other side is gone).
    """
    data = json.dumps({"kind": kind, **fields}, separators=(",", ":")).encode()
    if fds:
        socket.send_fds(connection, [data], list(fds))
    else:
        connection.send(data)


def send_data(connection: socket.socket, stream: int, data: bytes, *, flags: int = 0) -> None:
    """Send at most CHUNK_BYTES of one stream.

    Raises: OSError (EPIPE; EAGAIN on a socket that does not block, or with MSG_DONTWAIT).
    """
    connection.send(bytes([stream]) + data, flags)


def receive(connection: socket.socket) -> Message | None:
    """The next message; None when the other side has closed, or has ended without having read what was sent to it.

    Raises: OSError; ValueError where the datagram is no message of ours.
    """
    try:
        data, ancillary = _datagram(connection)
    except ConnectionResetError:
        # It has ended without having read all that was sent to it. That is told once, before what it had said itself.
        data, ancillary = _datagram(connection)
    if not data:
        return None
    if data[0] <= STDERR:
        return Message({}, stream=data[0], data=data[1:])
    body = json.loads(data)
    if not isinstance(body, dict):
        raise ValueError("a message must be a JSON object")
    return Message(body, fds=_descriptors(ancillary))


def _datagram(connection: socket.socket) -> tuple[bytes, list[tuple[int, int, bytes]]]:
    room = socket.CMSG_SPACE(array.array("i").itemsize * _MOST_DESCRIPTORS)
    data, ancillary, _, _ = connection.recvmsg(_MESSAGE_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    return data, ancillary


def _descriptors(ancillary: Sequence[tuple[int, int, bytes]]) -> tuple[int, ...]:
    fds = array.array("i")
    for level, type, data in ancillary:
        if level == socket.SOL_SOCKET and type == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return tuple(fds)
