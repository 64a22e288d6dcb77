"""The other end of a container: ask the zygote for one, start it, feed it, hear how it ended.

Everything here may run in a process with threads: it talks over sockets and starts one program, nothing more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainer.errors import HostError, InitError, LabError, told
from labcontainer.runtime import channel, sealed, state
from labcontainer.runtime.channel import Message
from labcontainer.runtime.request import ExecRequest, Request

# The zygote is forked once more, so that it is nobody's child: the notebook need not wait for it.
_LAUNCH = """
import os, sys
if os.fork() == 0:
    os.setsid()
    from pathlib import Path
    from labcontainer.runtime import zygote
    zygote.main(Path(sys.argv[1]))
"""


# What a zygote takes over from whoever starts it; the rest of an environment is not for a process that stays.
_INHERITED = ("PATH", "LABCONTAINER_CGROUP")


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container's command ended."""

    code: int
    oom_killed: bool


class Connection:
    """A client's channel to one monitor."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def fileno(self) -> int:
        """The socket's descriptor, for select."""
        return self._socket.fileno()

    def expect(self, kind: str) -> Message:
        """The next JSON message, which must be `kind`.

        Raises: InitError where the container has failed instead; LabError where its monitor was killed.
        """
        while True:
            message = self.receive()
            if message.kind == kind:
                return message

    def receive(self) -> Message:
        """The next message, JSON or stream data. Raises as `expect`."""
        message = channel.receive(self._socket)
        if message is None:
            raise LabError("the container's monitor was killed; `lab ps -a` tells what became of the container")
        if message.kind == "failed":
            body = message.body
            raise InitError(str(body["stage"]), str(body["cause"]), int(body["exit_code"]))
        return message

    def start(self) -> None:
        """Let a created container's command run; what has become of it is heard by `receive`."""
        with contextlib.suppress(BrokenPipeError):
            channel.send(self._socket, "start")

    def attach(self) -> None:
        """Have the container's output sent to us from now on."""
        with contextlib.suppress(BrokenPipeError):
            channel.send(self._socket, "attach")

    def ask(self, kind: str, answer: str, **fields: Any) -> None:
        """Send a request and wait for the answer to it. Raises as `expect`."""
        channel.send(self._socket, kind, **fields)
        self.expect(answer)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the container's terminal its size, in character cells."""
        with contextlib.suppress(BrokenPipeError):
            channel.send(self._socket, "resize", rows=rows, columns=columns)

    def feed(self, data: bytes) -> None:
        """Write to the container's stdin; empty data closes it. After its end, data goes nowhere, as in a pipe."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            channel.send_data(self._socket, channel.STDIN, data)

    def offer(self, data: bytes) -> bool:
        """As `feed`, without waiting: False where the container has not yet taken what came before."""
        try:
            channel.send_data(self._socket, channel.STDIN, data, flags=socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except BrokenPipeError:
            pass
        return True

    def pump(self, output: Callable[[int, bytes], object]) -> Exit:
        """Hand every piece of output to `output(stream, data)` until the container has ended and is cleared up."""
        while True:
            message = self.receive()
            if message.stream is not None:
                output(message.stream, message.data)
            elif message.kind == "exited" and not message.body.get("again"):
                return Exit(int(message.body["exit_code"]), bool(message.body["oom_killed"]))

    def close(self) -> None:
        """Hang up; the container goes on."""
        self._socket.close()


class Zygote:
    """The zygote of one engine, started when it is first needed and found again later."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.address = run / f"zygote-{fingerprint()}.sock"

    def create(self, request: Request, *, begin: bool = False) -> Connection:
        """Have a container made up to the point where its command could start ("created").

        With `begin` its monitor does not wait for us there: the output is sent to us, and the command starts.

        Raises: InitError (stage, cause) where it could not be made; HostError where no zygote starts.
        """
        directory = Path(request.directory)
        try:
            return self._opened("create", "created", request, begin=begin)
        except InitError:
            raise  # it was tried and has failed, whatever its monitor has left written down of itself
        except LabError:
            # A zygote that was killed between our message and its fork leaves no monitor: then nothing has begun yet.
            if not directory.exists() or state.load(directory).monitor is not None:
                raise
            return self._opened("create", "created", request, begin=begin)

    def adopt(self, request: Request) -> Connection:
        """Have a new monitor look after a container whose own was killed. Raises as `create`."""
        return self._opened("create", "adopted", request)

    def execute(self, request: ExecRequest) -> Connection:
        """Have one more process started in a container. Raises: InitError (126, 127 …), HostError."""
        return self._opened("exec", "started", request)

    def stop(self) -> None:
        """End every zygote of this engine, older ones too; containers go on."""
        for path in self.run.glob("zygote-*.sock"):
            with contextlib.suppress(OSError), _connect(path) as connection:
                channel.send(connection, "quit")
                connection.recv(1)

    def _opened(self, kind: str, answer: str, request: Request | ExecRequest, *, begin: bool = False) -> Connection:
        connection = Connection(self._connected(kind, request))
        try:
            if begin:
                # The monitor finds them behind the request, in their order, when it has made the container.
                connection.attach()
                connection.start()
            connection.expect(answer)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connected(self, kind: str, request: Request | ExecRequest) -> socket.socket:
        for _ in range(3):
            connection = self._find_or_start()
            try:
                channel.send(connection, kind, **request.to_json())
                return connection
            except BrokenPipeError:  # it ended between our connect and our send
                connection.close()
        raise HostError("a zygote", reason=f"the process behind {self.address} keeps ending")

    def _find_or_start(self) -> socket.socket:
        path = self.address
        with contextlib.suppress(OSError):
            return _connect(path)
        with self._lock():
            with contextlib.suppress(OSError):
                return _connect(path)
            try:
                self._spawn(path)
                return _connect(path)
            except OSError as error:
                raise HostError("a zygote", reason=f"{told(error)}; see {self.run}/zygote.log") from None

    def _spawn(self, path: Path) -> None:
        import subprocess  # brings much along, and a zygote is started once

        self._forget_killed()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with listener, channel.short(path) as address:
            listener.bind(address)
            listener.listen(128)
            # The socket is listening before the process exists, so a client never has to wait for it to appear.
            environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
            with open(self.run / "zygote.log", "ab", buffering=0) as log, sealed.interpreter() as python:
                # The name stays that of the file: by it Python finds its library.
                subprocess.Popen(
                    [sys.executable, "-I", "-c", _LAUNCH, str(path)],
                    executable=f"/proc/self/fd/{python}",
                    pass_fds=(python,),
                    stdin=listener.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    env={"PATH": os.defpath, "LANG": "C.UTF-8", **environment},
                ).wait()

    def _forget_killed(self) -> None:
        # A zygote that was killed has left its socket; after an edit nobody would come back to it.
        for path in self.run.glob("zygote-*.sock"):
            try:
                _connect(path).close()
            except OSError:
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self.run / "zygote.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def fingerprint() -> str:
    """What must be the same for a zygote to serve us: its source and what it may do and see.

    After an edit the next container comes from a new zygote; and one that was started without a capability, or in a
    mount namespace of its own, does not make the containers of those who have more.
    """
    package = Path(__file__).parent.parent
    age = max(_newest_ns(package / part) for part in ("kernel", "oci", "runtime"))
    with open("/proc/self/status") as status:
        held = [line for line in status if line.startswith(("CapEff", "CapBnd", "NoNewPrivs", "Seccomp:"))]
    seen = [os.readlink(f"/proc/self/ns/{name}") for name in ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")]
    return f"{age:x}-{zlib.crc32(''.join(held + seen).encode()):08x}"


def _newest_ns(directory: Path | str) -> int:
    with os.scandir(directory) as entries:
        times = (
            _newest_ns(entry.path) if entry.is_dir() else entry.stat().st_mtime_ns
            for entry in entries
            if entry.name.endswith(".py") or entry.is_dir()
        )
        return max(times, default=0)


def attach(directory: Path) -> Connection:
    """A channel to the monitor of the container in `directory`. Raises: OSError where none listens."""
    return Connection(_connect(directory / "monitor.sock"))


def _connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with channel.short(path) as address:
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection
