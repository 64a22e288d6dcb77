"""One container as docker-py shows it: nouns, verbs, and what the Linux kernel says of it at this moment."""

from __future__ import annotations

import os
import signal as signals
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from labcontainer.engine import ending, execution, files, logs, record
from labcontainer.engine import signals as signal_names
from labcontainer.engine.execution import ExecResult
from labcontainer.engine.holding import holding
from labcontainer.engine.options import Command
from labcontainer.engine.record import Record
from labcontainer.engine.stream import Stream
from labcontainer.engine.when import When
from labcontainer.errors import Conflict, HostError, LabError, StateError, UsageError
from labcontainer.kernel import cgroup
from labcontainer.kernel.cgroup import Cgroup
from labcontainer.runtime import client, events, life, state
from labcontainer.runtime.changes import Changes
from labcontainer.runtime.claim import claim
from labcontainer.runtime.client import Connection
from labcontainer.runtime.life import Status
from labcontainer.runtime.remove import bury
from labcontainer.runtime.state import State

if TYPE_CHECKING:
    from labcontainer.engine.engine import Engine
    from labcontainer.image.image import Image
    from labcontainer.runtime.visit import Visit

_CLAIM_S = 1.0  # who mends a container holds the claim for a moment


class Container:
    """A handle to one container; every property is read afresh."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self._engine = engine
        self._directory = directory
        self.id = directory.name

    def __repr__(self) -> str:
        return f"<Container: {self.short_id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Container) and other._directory == self._directory

    def __hash__(self) -> int:
        return hash(self._directory)

    # -- what it is

    @property
    def short_id(self) -> str:
        """The first 12 digits of the id, as docker shows it."""
        return self.id[:12]

    @property
    def directory(self) -> Path:
        """The bundle on disk: config.json, rootfs, upper, work, the log and the state."""
        return self._directory

    @property
    def record(self) -> Record:
        """What was asked for. Raises: NotFound (it was removed)."""
        return record.read(self._directory)

    @property
    def name(self) -> str:
        """The name given or generated."""
        return self.record.name

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels given."""
        return self.record.labels

    @property
    def state(self) -> State:
        """The state as the Linux kernel sees it now. Raises: NotFound."""
        return state.observe(self._directory)

    @property
    def status(self) -> str:
        """Docker's word for the state: created, running, paused, restarting, exited."""
        return {Status.CREATING: "created", Status.STOPPED: "exited"}.get(self.state.status, self.state.status.value)

    @property
    def pid(self) -> int:
        """The host's number of the container's PID 1; 0 when none runs."""
        init = self.state.init
        return init.pid if init and init.alive() else 0

    @property
    def attrs(self) -> dict[str, Any]:
        """All that is known of it under docker's field names, as ``lab inspect`` prints it."""
        from labcontainer.engine import inspect

        return inspect.container(self._engine, self._directory)

    @property
    def ports(self) -> dict[str, Any]:
        """Its published ports: ``{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}``."""
        return dict(self.attrs["NetworkSettings"]["Ports"])

    def reload(self) -> None:
        """For docker-py's sake: properties are always fresh. Raises: NotFound."""
        _ = self.record

    # -- its life: which verb is for which state is the table in runtime/life.py

    def start(self) -> None:
        """Run the command; of a container that runs already nothing is asked. Raises: StateError, InitError."""
        now = self.state
        life.check(self.id, "start", now.status)
        if now.status is Status.RUNNING:
            return
        connection = self.launch()
        try:
            connection.start()
            connection.expect("started")
        finally:
            connection.close()

    def launch(self, *, begin: bool = False) -> Connection:
        """Have a monitor make it up to where the command could start; the caller attaches and starts it, or `begin`s.

        Raises: StateError, InitError, HostError.
        """
        now = self.state
        life.check(self.id, "start", now.status)
        if now.status is Status.RUNNING:
            raise StateError(self.id, now.status, "launch")
        request = replace(record.read_request(self._directory), trace=self._engine.trace_path())
        return self._engine.zygote.create(request, begin=begin)

    def kill(self, signal: int | str = "SIGKILL") -> None:
        """Send a signal to the container's PID 1. Raises: StateError where none runs; UsageError."""
        number = signal_names.number(signal)
        now = self.state
        life.check(self.id, "kill", now.status)
        if number in (signals.SIGKILL, signal_names.number(self.record.stop_signal)):
            ending.halt(self)
        ending.send(self, now, number)
        if number == signals.SIGKILL and now.status is Status.PAUSED:
            with suppress(LabError):  # version 1 lets the frozen die only once they are thawed
                self._cgroup("kill").thaw()

    def stop(self, timeout: float | None = None, signal: int | str | None = None) -> None:
        """Ask it to end, by its stop signal; after `timeout` seconds kill it. A stopped one is left as it is."""
        now = self.state
        life.check(self.id, "stop", now.status)
        if now.status in (Status.CREATED, Status.STOPPED):
            return
        asked = self.record
        ending.end(self, signal or asked.stop_signal, asked.stop_timeout_s if timeout is None else timeout)
        self.tell("stop")

    def restart(self, timeout: float | None = None, signal: int | str | None = None) -> None:
        """Stop it, as `stop` does, if it runs, and start it again; with ``--rm`` it is not removed in between."""
        now = self.state
        life.check(self.id, "restart", now.status)
        asked = self.record
        # Held, so that another engine does not take it for one that has ended, and remove it.
        held = holding(self._directory, wait=True)
        try:
            if now.status not in (Status.CREATED, Status.STOPPED):
                patience_s = asked.stop_timeout_s if timeout is None else timeout
                ending.end(self, signal or asked.stop_signal, patience_s, keep=True)
            self.start()
        finally:
            os.close(held)
        self.tell("restart")

    def pause(self) -> None:
        """Stop every process inside where it stands (the freezer). Raises: StateError, HostError (it has no cgroup)."""
        life.check(self.id, "pause", self.state.status)
        self._cgroup("pause").freeze()
        self.tell("pause")

    def unpause(self) -> None:
        """Let every process inside go on. Raises: StateError."""
        life.check(self.id, "unpause", self.state.status)
        self._cgroup("unpause").thaw()
        self.tell("unpause")

    def wait(self, timeout: float | None = None, condition: str = "not-running") -> dict[str, int]:
        """Wait for its end: ``{"StatusCode": 0}``. Of a container that a policy starts again, the next end counts.

        `condition` is docker's: ``not-running``, ``next-exit`` or ``removed``.

        Raises: TimeoutError after `timeout` seconds, NotFound.
        """
        from labcontainer.engine import waiting

        return waiting.wait(self, timeout, condition)

    def rename(self, name: str) -> None:
        """Give it another name. Raises: Conflict, UsageError."""
        with self._engine.locked():
            before, wanted = self.record, name.removeprefix("/")  # inspect tells it with a slash
            if wanted == before.name:
                raise UsageError("name", name, "it has that name")
            free = self._engine.containers.free_name(wanted)
            record.write(self._directory, replace(before, name=free))
        self.tell("rename", oldName=f"/{before.name}")

    def update(self, **settings: Any) -> dict[str, Any]:
        """Give it other limits, now and for every start to come: docker-py's keywords, and restart_policy.

        They are those of `limits.Constraints` without oom_score_adj; -1 takes one away. Memory that is in use is not
        taken away.

        Raises: UsageError, HostError (no cgroup, no such controller), KernelError (EBUSY: too much is in use).
        """
        from labcontainer.engine import update

        update.update(self._engine, self._directory, settings)
        self.tell("update")
        return {"Warnings": []}

    def remove(self, *, force: bool = False, v: bool = False) -> None:
        """Remove it and its files; with `force` kill it first. `v` is for volumes that belong to it alone.

        Raises: StateError where it runs.
        """
        now = self.state
        if not force:
            life.check(self.id, "remove", now.status)
            if now.monitor and now.monitor.alive():
                raise Conflict("container", self.id, "is just being started, or is ending")
        # Held against what is written: of one whose end nobody has written down, a cgroup may be left.
        written = state.load(self._directory)
        if written.monitor is not None or written.status not in life.VERBS["remove"]:
            ending.end(self, signals.SIGKILL, None)
        attributes = events.attributes(self._directory)
        held = claim(self._directory, patience_s=_CLAIM_S)
        if held is None:
            if self._directory.exists():
                raise Conflict("container", self.id, "is just being started by somebody else")
            return  # its monitor has removed it, as --rm had asked
        try:
            bury(self._directory)
        finally:
            os.close(held)
        events.record(self._engine.root, "destroy", self.id, attributes)

    # -- what goes on inside

    def attach(self) -> Connection:
        """A connection that gets the output from now on, and may feed stdin. Raises: StateError."""
        now = self.state
        life.check(self.id, "attach", now.status)
        try:
            connection = client.attach(self._directory)
        except OSError:
            raise StateError(self.id, now.status, "attach", "its monitor is gone; `lab ps` brings another") from None
        connection.attach()
        self.tell("attach")
        return connection

    def exec_run(self, cmd: Command, *, detach: bool = False, demux: bool = False, **settings: Any) -> ExecResult:
        """Run one more command inside and wait for it: (exit_code, output), as in docker-py.

        With `demux` the output is (stdout, stderr); with `detach` both are None. Settings: those of `exec_open`.

        Raises: StateError (it does not run), InitError (126, 127 as its exit_code), UsageError.
        """
        connection = self.exec_open(cmd, **settings)
        try:
            return execution.finish(connection, detach=detach, demux=demux)
        finally:
            connection.close()

    def exec_open(self, cmd: Command, **settings: Any) -> Connection:
        """Run one more command inside, and keep the connection to it, for callers that feed and read it themselves.

        Settings, docker-py's: environment, workdir, user, privileged, tty, stdin.

        Raises: StateError, InitError, UsageError.
        """
        life.check(self.id, "exec", self.state.status)
        return execution.begin(self, self._engine, cmd, **settings)

    def logs(
        self,
        stdout: bool = True,
        stderr: bool = True,
        stream: bool = False,
        timestamps: bool = False,
        tail: int | str = "all",
        since: When = None,
        follow: bool | None = None,
        until: When = None,
    ) -> Any:
        """What it has written: bytes, or with `stream` a `Stream` of lines, as in docker-py.

        `follow`, which is `stream` where it is not given, goes on until the container has ended. `tail` counts lines.
        Times are datetimes, seconds since 1970, or docker's texts: ``10m``, ``2026-01-31T12:00``.

        Raises: UsageError, NotFound (it was made without a log).
        """
        wanted = logs.selection(stdout=stdout, stderr=stderr, tail=tail, since=since, until=until)
        found = logs.records(self._directory, wanted, follow=stream if follow is None else follow)
        pieces = found.map(lambda records: (data for _, data in logs.pieces(records, timestamps=timestamps)))
        return pieces if stream else b"".join(pieces)

    @overload
    def stats(self, *, stream: Literal[True] = True, one_shot: bool = False) -> Stream[dict[str, Any]]: ...

    @overload
    def stats(self, *, stream: Literal[False], one_shot: bool = False) -> dict[str, Any]: ...

    def stats(self, *, stream: bool = True, one_shot: bool = False) -> Stream[dict[str, Any]] | dict[str, Any]:
        """What it uses, in docker's JSON (`engine.stats`): a document each second, or without `stream` one of them.

        One that is to show per cent takes a second, for two samples; with `one_shot` it has a single one.

        Raises: HostError (it runs without a cgroup, so nobody counts), NotFound.
        """
        from labcontainer.engine import stats

        if stream:
            changes = Changes(self._directory)
            return Stream(stats.follow(self._directory, changes), changes)
        return stats.sample(self._directory) if one_shot else stats.once(self._directory)

    # -- its files and processes

    def get_archive(self, path: str, chunk_size: int = files.CHUNK_BYTES) -> tuple[files.Archive, dict[str, Any]]:
        """A file or directory as the chunks of a tar, and docker's stat of it. Raises: NotFound, UsageError."""
        with files.naming(self.name):
            return files.get_archive(self.visit(), path, chunk_size)

    def put_archive(self, path: str, data: files.Data) -> bool:
        """Unpack a tar, plain or compressed, into the directory `path`; True, or an error.

        Raises: NotFound, UsageError (no directory, read-only), UnsafeArchive, SpecError, KernelError.
        """
        with files.naming(self.name), self.visit() as visit:
            files.put_archive(visit, path, data)
        return True

    def export(self, chunk_size: int = files.CHUNK_BYTES) -> files.Archive:
        """The whole root as the chunks of a tar, without what is mounted in it. Raises: StateError, HostError."""
        return files.Archive(self.visit(volumes=False), "get", path="/", name="", chunk_size=chunk_size)

    def commit(self, repository: str | None = None, tag: str | None = None, **settings: Any) -> Image:
        """Make an image of its image's layers and its own changes. Settings: those of `engine.commit`.

        Raises: UsageError, InvalidReference, StateError, KernelError.
        """
        from labcontainer.engine import commit

        return commit.commit(self._engine, self, commit.reference(repository, tag), **settings)

    def diff(self) -> list[dict[str, Any]]:
        """What it has changed in its root: ``[{"Path": "/etc/motd", "Kind": 1}]`` (0 changed, 1 added, 2 deleted)."""
        return files.diff(self._directory, trace=self._engine.trace_path())

    def top(self, ps_args: str | None = None) -> dict[str, Any]:
        """Its processes: ``{"Titles": ["UID", "PID", …], "Processes": [["root", "4711", …]]}``, pids of the host.

        Raises: StateError where none runs; UsageError, HostError (ps arguments, and no ps).
        """
        from labcontainer.engine import top

        return top.top(self.state, ps_args)

    def visit(self, *, volumes: bool = True) -> Visit:
        """A helper that stands in its root, for `engine.copy`; close it. Raises: StateError, HostError, KernelError."""
        return files.enter(self._directory, volumes=volumes, trace=self._engine.trace_path())

    def _cgroup(self, verb: str) -> Cgroup:
        name = self.state.cgroup
        if name is None:
            cgroup.host().writable_base()  # raises, with the command that delegates one
            raise HostError(f"{verb} of this container", reason="it was made without a cgroup of its own")
        return cgroup.open(name)

    def tell(self, action: str, **attributes: str) -> None:
        """Write down, for ``lab events``, that `action` has happened to it."""
        known = events.attributes(self._directory)
        events.record(self._engine.root, action, self.id, {**known, **attributes})
