"""One container as docker-py shows it: nouns, verbs, and what the Linux kernel says of it at this moment."""

from __future__ import annotations

import json
import os
import select
import signal as signals
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labcontainer.errors import Conflict, KernelError, LabError, NotFound, SpecError, StateError, UsageError
from labcontainer.kernel import process
from labcontainer.runtime import client, events, log, state
from labcontainer.runtime.remove import remove_tree
from labcontainer.runtime.state import ProcessId, State, Status

if TYPE_CHECKING:
    from labcontainer.engine.engine import Engine

RECORD = "container.json"


@dataclass(frozen=True, slots=True)
class Record:
    """What was asked for, written once when the container is made."""

    id: str
    name: str
    image: str
    image_id: str
    command: tuple[str, ...]
    created_ns: int
    remove: bool
    labels: Mapping[str, str]


class Container:
    """A handle to one container; every property is read afresh."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self._engine = engine
        self._directory = directory
        self.id = directory.name

    def __repr__(self) -> str:
        return f"<Container: {self.short_id}>"

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
        return read_record(self._directory)

    @property
    def name(self) -> str:
        """The name given or generated."""
        return self.record.name

    @property
    def state(self) -> State:
        """The state as the Linux kernel sees it now. Raises: NotFound."""
        return state.observe(self._directory)

    @property
    def status(self) -> str:
        """Docker's word for the state: created, running, exited."""
        return {Status.CREATING: "created", Status.STOPPED: "exited"}.get(self.state.status, self.state.status.value)

    @property
    def pid(self) -> int:
        """The host's number of the container's PID 1; 0 when none runs."""
        init = self.state.init
        return init.pid if init and init.alive() else 0

    @property
    def attrs(self) -> dict[str, Any]:
        """The record and state under docker's field names."""
        record, now = self.record, self.state
        return {
            "Id": self.id,
            "Name": f"/{record.name}",
            "Created": log.timestamp(record.created_ns),
            "Path": record.command[0],
            "Args": list(record.command[1:]),
            "Image": record.image_id,
            "State": {
                "Status": self.status,
                "Running": now.status is Status.RUNNING,
                "Pid": self.pid,
                "ExitCode": now.exit_code or 0,
                "OOMKilled": now.oom_killed,
                "Error": now.error,
                "StartedAt": log.timestamp(now.started_ns or 0),
                "FinishedAt": log.timestamp(now.finished_ns or 0),
            },
            "Config": {"Image": record.image, "Labels": dict(record.labels)},
        }

    def reload(self) -> None:
        """For docker-py's sake: properties are always fresh. Raises: NotFound."""
        _ = self.record

    def start(self) -> None:
        """Run the command of a created container. Raises: StateError, InitError."""
        now = self.state
        if now.status is not Status.CREATED:
            raise StateError(self.id, now.status, "start")
        connection = client.attach(self._directory)
        try:
            connection.start()
            connection.expect("started")
        finally:
            connection.close()

    def kill(self, signal: int | str = "SIGKILL") -> None:
        """Send a signal to the container's PID 1. Raises: StateError where none runs; UsageError."""
        number = signal_number(signal)
        init = self.state.init
        if init is None or not init.alive():
            raise StateError(self.id, self.state.status, "kill")
        try:
            pidfd = process.pidfd_open(init.pid)
        except KernelError:
            return  # it ended just now: what was wanted
        try:
            if init.alive():  # asked after the pidfd was opened: it cannot be somebody else's number any more
                process.pidfd_send_signal(pidfd, number)
        except KernelError:
            return
        finally:
            os.close(pidfd)

    def stop(self, timeout: float = 10, signal: int | str = "SIGTERM") -> None:
        """Ask it to end; after `timeout` seconds kill it. A stopped container is left as it is."""
        if self.state.status not in (Status.RUNNING, Status.CREATED):
            return
        with suppress(StateError, NotFound):
            self.kill(signal)
            if not self._ended_within(timeout):
                self.kill(signals.SIGKILL)
                self._ended_within(None)

    def wait(self, timeout: float | None = None) -> dict[str, int]:
        """Wait for the end: ``{"StatusCode": 0}``. Raises: TimeoutError after `timeout` seconds."""
        if not self._ended_within(timeout):
            raise TimeoutError(f"container {self.short_id} still runs after {timeout} s")
        with suppress(NotFound):
            return {"StatusCode": self.state.exit_code or 0}
        return {"StatusCode": 0}

    def logs(self, *, stdout: bool = True, stderr: bool = True) -> bytes:
        """What it has written so far."""
        wanted = {name for name, on in (("stdout", stdout), ("stderr", stderr)) if on}
        return b"".join(record.data for record in log.read(self._directory / "log.json") if record.stream in wanted)

    def remove(self, *, force: bool = False) -> None:
        """Remove it and its files; with `force` kill it first. Raises: Conflict where it runs."""
        if self.state.status in (Status.RUNNING, Status.CREATED):
            if not force and self.state.status is Status.RUNNING:
                raise Conflict("container", self.name, "is running; stop it first, or remove it with force (rm -f)")
            with suppress(StateError):
                self.kill()
            self._ended_within(None)
        if self._directory.exists():
            self._engine.mend(self._directory)
            attributes = events.attributes(self._directory)
            remove_tree(self._directory)
            events.record(self._engine.root, "destroy", self.id, attributes)

    def _ended_within(self, timeout: float | None) -> bool:
        """Whether container and monitor have ended; a monitor ends after it has cleared up."""
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            now = state.load(self._directory)
        except NotFound:
            return True
        return all(_ends(one, deadline) for one in (now.init, now.monitor) if one is not None)


def read_record(directory: Path) -> Record:
    """The record in `directory`. Raises: NotFound (kind "container"), SpecError."""
    try:
        fields = json.loads((directory / RECORD).read_text())
        return Record(**{**fields, "command": tuple(fields["command"])})
    except FileNotFoundError:
        raise NotFound("container", directory.name) from None
    except (ValueError, TypeError, KeyError) as error:
        raise SpecError(f"{directory / RECORD}: {error}") from None


def signal_number(signal: int | str) -> int:
    """``9``, ``"KILL"`` or ``"SIGKILL"`` as a number. Raises: UsageError."""
    text = str(int(signal)) if isinstance(signal, int) else signal.upper()
    if text.isdigit() and 1 <= int(text) <= signals.SIGRTMAX:
        return int(text)
    try:
        return signals.Signals[text if text.startswith("SIG") else f"SIG{text}"].value
    except KeyError:
        raise UsageError("signal", signal, "there is none of that name; see kill -l") from None


def _ends(one: ProcessId, deadline: float | None) -> bool:
    try:
        pidfd = process.pidfd_open(one.pid)
    except LabError:
        return True
    try:
        if not one.alive():
            return True
        left = None if deadline is None else max(0, deadline - time.monotonic()) * 1000
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(left))
    finally:
        os.close(pidfd)
