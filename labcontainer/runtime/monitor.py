"""The process that stays with one container from its birth to its last trace.

It makes init, gives it its id maps and its cgroup, reads its pipes or its terminal, writes its log, answers clients,
and when init has ended takes everything away that was made. It outlives the notebook, the client and the zygote.

Who we are: forked by the zygote, one thread, the privileges of the user who started the engine.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainer.errors import InitError, LabError, told
from labcontainer.kernel import cgroup, process, pty, seccomp, trace, userns
from labcontainer.kernel.file import OpenFlag
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.kernel.process import Child
from labcontainer.kernel.trace import Role
from labcontainer.oci.bundle import Bundle
from labcontainer.oci.runtime_spec import Spec
from labcontainer.runtime import channel, init, plan, resources, state
from labcontainer.runtime.init import Job
from labcontainer.runtime.log import Log
from labcontainer.runtime.remove import remove_tree
from labcontainer.runtime.request import Request
from labcontainer.runtime.state import ProcessId, State, Status

CLONE = {
    "pid": CloneFlag.CLONE_NEWPID,
    "network": CloneFlag.CLONE_NEWNET,
    "mount": CloneFlag.CLONE_NEWNS,
    "ipc": CloneFlag.CLONE_NEWIPC,
    "uts": CloneFlag.CLONE_NEWUTS,
    "user": CloneFlag.CLONE_NEWUSER,
    "time": CloneFlag.CLONE_NEWTIME,
}


@dataclass(slots=True)
class Streams:
    """The monitor's ends of the container's stdin, stdout and stderr; with a terminal all are its controller."""

    stdin: int | None
    stdout: int | None
    stderr: int | None


class Monitor:
    """One container's keeper."""

    def __init__(self, request: Request, client: socket.socket) -> None:
        self.request = request
        self.directory = Path(request.directory)
        self.state = State(request.id, Status.CREATING, state.boot_id(), ProcessId.of(os.getpid()))
        self.clients = [client]
        self.creator = client
        self.cgroup: cgroup.Cgroup | None = None
        self.child: Child | None = None
        self.streams = Streams(None, None, None)
        self.selector = selectors.EpollSelector()
        self.log = Log(self.directory / "log.json") if request.log else None
        self.init_channel: socket.socket | None = None
        self.started = False
        self.failure: InitError | None = None

    def run(self) -> None:
        """Create the container, see it through, and clear up; every outcome is told to the clients."""
        try:
            self._create()
            self._loop()
        except InitError as error:
            self.failure = error
        except (LabError, OSError) as error:
            self.failure = InitError("create", told(error) if isinstance(error, OSError) else str(error))
        finally:
            self._finish()

    # -- before the command runs

    def _create(self) -> None:
        state.save(self.directory, self.state)
        spec = Bundle(self.directory).read()
        if spec.process is None or not spec.process.args:
            raise InitError("create", "the bundle's config names no command")
        kinds = {namespace.type for namespace in spec.linux.namespaces if not namespace.path} if spec.linux else set()
        with trace.step("cgroup", "the limits must stand before the first instruction runs"):
            self._make_cgroup(spec)
        job = self._job(spec, kinds)
        flags = CloneFlag(0)
        for kind, flag in CLONE.items():
            if kind in kinds:
                flags |= flag
        ours, theirs = channel.pair()
        self.init_channel = ours
        with trace.step("clone", "one call makes the child and its new namespaces"):
            self.child = process.clone3(flags, cgroup=self.cgroup.directory_fd() if self.cgroup else None)
        if self.child is None:
            # We are init: everything of the monitor's but the channel and the streams is closed by stage 7.
            trace.become(Role.INIT)
            ours.close()
            init.main(job, theirs)
        theirs.close()
        self._release(spec, kinds, job)

    def _make_cgroup(self, spec: Spec) -> None:
        wanted = spec.linux.resources if spec.linux else None
        if self.request.cgroup is None:
            return
        self.cgroup = cgroup.create(self.request.cgroup)
        if wanted is not None:
            self.cgroup.set(resources.limits(wanted))

    def _job(self, spec: Spec, kinds: set[str]) -> Job:
        rootless = "user" in kinds
        overlay = self.request.overlay(userxattr=rootless)
        filter = None
        if spec.linux and spec.linux.seccomp and spec.process:
            filter = seccomp.compile(spec.linux.seccomp, cache=Path(self.request.cache) if self.request.cache else None)
        return Job(
            spec=spec,
            steps=plan.root(spec, Bundle(self.directory).rootfs, overlay),
            seccomp_filter=filter,
            new_user=rootless,
            cgroup=self.cgroup,
            new_cgroup="cgroup" in kinds,
            stdio=None if spec.process and spec.process.terminal else self._pipes(),
        )

    def _pipes(self) -> tuple[int, int, int]:
        with trace.step("streams", "what the command prints comes to us through pipes"):
            out_read, out_write = process.pipe2(OpenFlag.O_CLOEXEC)
            err_read, err_write = process.pipe2(OpenFlag.O_CLOEXEC)
        self.streams = Streams(None, out_read, err_read)
        if not self.request.interactive:
            return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), out_write, err_write
        in_read, in_write = process.pipe2(OpenFlag.O_CLOEXEC)
        self.streams.stdin = in_write
        return in_read, out_write, err_write

    def _release(self, spec: Spec, kinds: set[str], job: Job) -> None:
        assert self.child is not None
        assert self.init_channel is not None
        for fd in set(job.stdio or ()):
            os.close(fd)
        if "user" in kinds:
            with trace.step("maps", "until its ids are mapped the child is nobody"):
                userns.write_maps(self.child.pid, userns.own_maps())
        with contextlib.suppress(BrokenPipeError):  # init was killed: what it should answer will not come
            channel.send(self.init_channel, "go")
        self._await_ready()
        self.state = self.state.change(Status.CREATED, init=ProcessId.of(self.child.pid), cgroup=self.request.cgroup)
        state.save(self.directory, self.state)
        self._tell("created", pid=self.child.pid)

    def _await_ready(self) -> None:
        assert self.init_channel is not None
        while True:
            message = channel.receive(self.init_channel)
            if message is None:
                raise InitError("root", "init was killed before the command ran", 137)
            if message.kind == "failed":
                raise InitError(message.body["stage"], message.body["cause"], message.body["exit_code"])
            if message.kind == "terminal":
                controller = message.fds[0]
                self.streams = Streams(controller, controller, None)
            if message.kind == "ready":
                return

    # -- while it runs

    def _loop(self) -> None:
        assert self.child is not None
        assert self.init_channel is not None
        self.selector.register(self.child.pidfd, selectors.EVENT_READ, self._init_ended)
        self.selector.register(self.init_channel, selectors.EVENT_READ, self._init_spoke)
        for name, fd in ((1, self.streams.stdout), (2, self.streams.stderr)):
            if fd is not None:
                self.selector.register(fd, selectors.EVENT_READ, (name, fd))
        for client in self.clients:
            self.selector.register(client, selectors.EVENT_READ, client)
        with self._listening():
            while self.child is not None:
                for key, _ in self.selector.select():
                    self._dispatch(key.data)
        self._drain()

    def _dispatch(self, what: object) -> None:
        if isinstance(what, socket.socket):
            self._client_spoke(what)
        elif isinstance(what, tuple):
            self._copy_output(*what)
        elif callable(what):
            what()

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        path = self.directory / "monitor.sock"
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        here = os.open(self.directory, os.O_PATH | os.O_CLOEXEC)
        # A socket's path may have 107 bytes; through a descriptor of the directory it always fits.
        listener.bind(f"/proc/self/fd/{here}/monitor.sock")
        os.close(here)
        listener.listen()
        self.selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))
        yield
        listener.close()
        path.unlink(missing_ok=True)

    def _accept(self, listener: socket.socket) -> None:
        client, _ = listener.accept()
        self.clients.append(client)
        self.selector.register(client, selectors.EVENT_READ, client)

    def _client_spoke(self, client: socket.socket) -> None:
        try:
            message = channel.receive(client)
        except (OSError, ValueError):
            message = None
        if message is None:
            self._forget(client)
        elif message.stream == channel.STDIN:
            self._feed(message.data)
        elif message.kind == "start" and not self.started:
            self._start()
        elif message.kind == "resize" and self.streams.stdin is not None:
            pty.set_size(self.streams.stdin, pty.Size(int(message.body["rows"]), int(message.body["columns"])))

    def _start(self) -> None:
        assert self.init_channel is not None
        self.started = True
        with contextlib.suppress(BrokenPipeError):  # init was killed: its pidfd tells
            channel.send(self.init_channel, "start")

    def _init_spoke(self) -> None:
        assert self.init_channel is not None
        assert self.child is not None
        message = channel.receive(self.init_channel)
        self.selector.unregister(self.init_channel)
        if message is not None and message.kind == "failed":
            self.failure = InitError(message.body["stage"], message.body["cause"], message.body["exit_code"])
            return
        # The channel has closed without a word: execve has succeeded (or init was killed, which its pidfd tells).
        if self.started:
            self.state = self.state.change(Status.RUNNING, started_ns=time.time_ns())
            state.save(self.directory, self.state)
            self._tell("started", pid=self.child.pid)

    def _init_ended(self) -> None:
        assert self.child is not None
        code = process.wait(self.child)
        self.selector.unregister(self.child.pidfd)
        os.close(self.child.pidfd)
        self.child = None
        oom = bool(self.cgroup and self.cgroup.events().oom_kill)
        self.state = self.state.change(Status.STOPPED, exit_code=code, oom_killed=oom, finished_ns=time.time_ns())

    def _feed(self, data: bytes) -> None:
        if self.streams.stdin is None:
            return
        try:
            if data:
                os.write(self.streams.stdin, data)
            elif self.streams.stdin != self.streams.stdout:
                os.close(self.streams.stdin)
                self.streams.stdin = None
        except OSError:
            self.streams.stdin = None  # the command has closed its stdin: what comes now goes nowhere, as in a pipe

    def _copy_output(self, name: int, fd: int) -> bool:
        try:
            data = os.read(fd, channel.CHUNK_BYTES)
        except OSError:
            data = b""  # EIO: the terminal's last user has gone
        if not data:
            self.selector.unregister(fd)
            return False
        if self.log:
            self.log.write(name, data)
        self._tell_data(name, data)
        return True

    def _drain(self) -> None:
        """Copy what the pipes still hold; whoever else keeps them open does not keep us waiting."""
        for name, fd in ((1, self.streams.stdout), (2, self.streams.stderr)):
            if fd is None:
                continue
            os.set_blocking(fd, False)
            with contextlib.suppress(KeyError):
                while self._copy_output(name, fd):
                    pass

    # -- afterwards

    def _finish(self) -> None:
        """Take away what was made, then write and tell how it ended."""
        with trace.step("clear", "what a container leaves behind is nothing but its files"), _going_on():
            self._kill_rest()
        if self.failure is not None:
            code = self.failure.exit_code
            self.state = State(
                self.state.id, Status.STOPPED, self.state.boot_id, exit_code=code, error=str(self.failure),
                finished_ns=time.time_ns(),
            )  # fmt: skip
        if self.log:
            self.log.close()
        with _going_on():
            if self.request.remove:
                remove_tree(self.directory)
            else:
                state.save(self.directory, self.state)
        if self.failure is not None:
            failure = self.failure
            self._tell("failed", stage=failure.stage, cause=failure.cause, exit_code=failure.exit_code)
        else:
            self._tell("exited", exit_code=self.state.exit_code, oom_killed=self.state.oom_killed)

    def _kill_rest(self) -> None:
        if self.child is not None:
            with contextlib.suppress(LabError):
                process.pidfd_send_signal(self.child.pidfd, signal.SIGKILL)
            process.wait(self.child)
            self.child = None
        if self.cgroup is not None:
            self.cgroup.kill()
            self.cgroup.remove()

    def _tell(self, kind: str, **fields: Any) -> None:
        for client in list(self.clients):
            try:
                channel.send(client, kind, **fields)
            except OSError:
                self._forget(client)

    def _tell_data(self, stream: int, data: bytes) -> None:
        # A client that reads slowly slows the container, as a pipe would; one that has gone is forgotten.
        for client in list(self.clients):
            try:
                channel.send_data(client, stream, data)
            except OSError:
                self._forget(client)

    def _forget(self, client: socket.socket) -> None:
        # Output that cannot be sent and the end of the connection are two events, and come together.
        if client not in self.clients:
            return
        with contextlib.suppress(KeyError):
            self.selector.unregister(client)
        client.close()
        self.clients.remove(client)
        if client is self.creator and not (self.started or self.request.keep) and self.child is not None:
            process.pidfd_send_signal(self.child.pidfd, signal.SIGKILL)


@contextlib.contextmanager
def _going_on() -> Iterator[None]:
    """What fails inside is written to the zygote's log: the clients must hear of the end all the same."""
    try:
        yield
    except (LabError, OSError) as error:
        sys.stderr.write(f"monitor {os.getpid()}: {told(error) if isinstance(error, OSError) else error}\n")
