"""A daemon that is small enough to be read whole: a few lines of HTTP on a unix socket. Lesson 00 builds up to it.

    client                          daemon
      │ ── connect ──────────────►    │  may this user write to the socket's file? The Linux kernel decides
      │ ── GET /path HTTP/1.0 ───►    │  who is calling? SO_PEERCRED: the Linux kernel says it
      │ ◄─ HTTP/1.0 200 OK … ─────    │  a fork of the daemon answers, and ends

    >>> daemon.serve("hello.sock", lambda path, caller: f"hello, user {caller.uid}")
    >>> print(daemon.ask("hello.sock", "/"))
    HTTP/1.0 200 OK

    hello, user 1000

It leaves out what HTTP has beyond that: header fields, bodies of requests, connections that stay open. And it forks, so
it belongs into a process with one thread: a cell that begins with ``%%child``.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qs, urlsplit

from labcontainer.errors import HostError
from labcontainer.kernel import mount, namespaces, process
from labcontainer.kernel.mount import MountFlag
from labcontainer.kernel.namespaces import CloneFlag

_UCRED = struct.Struct("3i")  # struct ucred { pid_t pid; uid_t uid; gid_t gid; }
_ANSWER_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end of a connection, as the Linux kernel has noted it when the connection was made."""

    pid: int
    uid: int
    gid: int


Answer = Callable[[str, Caller], str]


def ask(door: str, path: str) -> str:
    """Send one request to the daemon behind the socket `door`, and return all that it says.

    Raises: PermissionError, ConnectionError, TimeoutError. See: man 7 unix, RFC 1945
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(door)
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return connection.makefile().read()


def serve(door: str, answer: Answer, *, mode: int = 0o600, group: int = -1) -> int:
    """Listen at the socket `door` from now on, in the background; returns the pid of the daemon.

    What `answer(path, caller)` returns is sent with status 200; a PermissionError becomes 403, another error 500.

    Raises: HostError (this process has threads), OSError. See: man 7 unix
    """
    if len(os.listdir("/proc/self/task")) > 1:
        raise HostError("a fork of a process that has threads", remedy="begin the cell with %%child")
    with socket.socket(socket.AF_UNIX) as listener:
        Path(door).unlink(missing_ok=True)
        listener.bind(door)
        os.chown(door, -1, group)
        os.chmod(door, mode)
        listener.listen()  # only now: until the mode is right, nobody gets through
        pid = process.fork()
        if pid == 0:
            _listen(listener, answer)
    return pid


def caller(connection: socket.socket) -> Caller:
    """Who has connected: the Linux kernel is asked, not the one who calls.

    See: man 7 unix (SO_PEERCRED)
    """
    return Caller(*_UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)))


def run(path: str, caller: Caller) -> str:
    """``docker run -v VOLUME:/mnt … cat /mnt/FILE``, asked for as ``/run?volume=VOLUME&cat=FILE``.

    Here runs a fork of the daemon, with the daemon's rights, whoever `caller` is.
    """
    wanted = parse_qs(urlsplit(path).query)
    namespaces.unshare(CloneFlag.CLONE_NEWNS)
    mount.set_propagation("/", MountFlag.MS_PRIVATE | MountFlag.MS_REC)
    mount.mount(wanted["volume"][0], "mnt", flags=MountFlag.MS_BIND)
    return Path("mnt", wanted["cat"][0]).read_text()


def _listen(listener: socket.socket, answer: Answer) -> NoReturn:
    # We are the daemon: whoever has started us goes on with something else.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the Linux kernel buries our forks
    while True:
        connection, _ = listener.accept()
        with connection:
            if process.fork() == 0:
                _reply(connection, answer)


def _reply(connection: socket.socket, answer: Answer) -> NoReturn:
    try:
        connection.settimeout(_ANSWER_SECONDS)
        # GET /path HTTP/1.0
        path = connection.recv(4096).decode(errors="replace").split(" ")[1]
        try:
            status, body = "200 OK", answer(path, caller(connection))
        except PermissionError as error:
            status, body = "403 Forbidden", str(error)
        except Exception as error:  # noqa: BLE001  whatever it is, the client must hear of it
            status, body = "500 Internal Server Error", f"{type(error).__name__}: {error}"
        connection.sendall(f"HTTP/1.0 {status}\r\n\r\n{body}\n".encode())
    finally:
        os._exit(0)
