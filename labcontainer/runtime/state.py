"""A container's state on disk, and what the Linux kernel says of it.

``state.json`` stands in the container's directory. It names processes by pid *and* start time *and* boot, so a number
that was given to somebody else is never taken for the container. Which states there are, and what leads from one to
another, is the table in `life`. Whether a container is paused is not written down: its cgroup tells.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from labcontainer.errors import NotFound, SpecError, told
from labcontainer.kernel import cgroup, proc
from labcontainer.oci.bundle import beside
from labcontainer.runtime.life import Status

NAME = "state.json"
_ROOM_BYTES = 2048
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process and no other: its pid, and when it began in clock ticks since boot."""

    pid: int
    start_time: int

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """Name the living process `pid`."""
        return cls(pid, proc.start_time(pid) or 0)

    def alive(self) -> bool:
        """Whether that very process still runs (a zombie does not)."""
        return self.pid > 0 and proc.start_time(self.pid) == self.start_time


@dataclass(frozen=True, slots=True)
class State:
    """What is known of a container. Times are nanoseconds since 1970; None where it has not happened yet.

    `restarts` counts how often its policy has started it again. `halted`: somebody stopped it, so that no policy may
    start it again. `freezer` is the file that
    tells whether it is paused. `health` is the last result of its health check, "" where it has none.
    """

    id: str
    status: Status
    boot_id: str
    monitor: ProcessId | None = None
    init: ProcessId | None = None
    started_ns: int | None = None
    finished_ns: int | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    cgroup: str | None = None
    freezer: str = ""
    restarts: int = 0
    halted: bool = False
    health: str = ""

    def to_json(self) -> dict[str, Any]:
        """The content of ``state.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> State:
        """The inverse of `to_json`. Raises: SpecError."""
        try:
            known = {**fields, "status": Status(fields["status"])}
            for name in ("monitor", "init"):
                known[name] = ProcessId(**fields[name]) if fields.get(name) else None
            return cls(**known)
        except (KeyError, TypeError, ValueError) as error:
            raise SpecError(f"{NAME}: {error}") from None

    @property
    def unattended(self) -> bool:
        """Whether it runs without a monitor: that was killed, and another has to take over."""
        here = self.boot_id == boot_id() and self.init is not None and self.init.alive()
        return here and not (self.monitor and self.monitor.alive())

    @property
    def attended(self) -> bool:
        """Whether it runs and its monitor lives: nothing is to be mended."""
        if self.status is not Status.RUNNING or self.boot_id != boot_id() or not (self.init and self.monitor):
            return False
        return self.init.alive() and self.monitor.alive()

    def observed(self) -> State:
        """The state as the Linux kernel sees it: a container whose init is gone is stopped, whatever the file says."""
        if self.status is Status.STOPPED or (self.status is Status.CREATED and self.monitor is None):
            return self
        here = self.boot_id == boot_id()
        if here and self.init and self.init.alive():
            return replace(self, status=Status.PAUSED) if self.status is Status.RUNNING and self._frozen() else self
        # Init is gone, but a living monitor is just writing down how it ended; while creating, init is not there yet.
        if here and self.monitor and self.monitor.alive():
            return self
        if self.status is Status.RESTARTING:
            waited = "its monitor was killed before it could start it again"
            return replace(self, status=Status.STOPPED, error=self.error or waited)
        reason = "its monitor was killed, so nobody saw how it ended" if here else "the machine was restarted"
        return replace(self, status=Status.STOPPED, exit_code=255, error=self.error or reason)

    def _frozen(self) -> bool:
        return bool(self.freezer) and cgroup.stands_still(Path(self.freezer))


@functools.cache
def boot_id() -> str:
    """This boot of the machine, as /proc names it."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def observe(directory: Path) -> State:
    """The state of the container in `directory`, as its monitor wrote it and the Linux kernel confirms it.

    Raises: NotFound, SpecError.
    """
    written = load(directory)
    if written.observed() is written:
        return written
    # Both processes are gone; they may have gone in order since we read, and then the monitor has written how.
    return load(directory).observed()


def load(directory: Path) -> State:
    """The state written in `directory`.

    Raises: NotFound (kind "container"); SpecError where the file is damaged.
    """
    try:
        # Without a file object: a list of 500 containers reads 500 of these.
        fd = os.open(f"{directory}/{NAME}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            text = os.read(fd, _MOST_BYTES)
        except IsADirectoryError as error:
            raise SpecError(f"{directory / NAME}: {told(error)}") from None
        finally:
            os.close(fd)
        return State.from_json(json.loads(text))
    except FileNotFoundError:
        raise NotFound("container", directory.name) from None
    except ValueError as error:
        raise SpecError(f"{directory / NAME}: {error}") from None


def save(directory: Path, state: State) -> None:
    """Write the state in `directory`: a reader sees the old one or the new one.

    The file is made once, with room, and then written over under a lock: to replace it by renaming makes a file system
    such as ext4 write it out first, and a busy disk takes milliseconds for that, four times in each run. It also goes
    on when the disk is full. It is not flushed: after a power cut no container runs, and `State.observed` says so.

    Raises: OSError. See: man 2 flock, man 5 ext4 (auto_da_alloc)
    """
    text = json.dumps(state.to_json())
    try:
        fd = os.open(directory / NAME, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        write_atomically(directory / NAME, text.ljust(_ROOM_BYTES))
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        # Spaces behind JSON mean nothing, and one write with them leaves nothing of what stood there.
        os.write(fd, text.encode().ljust(os.fstat(fd).st_size))
    finally:
        os.close(fd)


def exchange(directory: Path, before: State, now: State) -> bool:
    """Write `now` where `before` still stands: what somebody else has written meanwhile is not lost.

    Raises: OSError, NotFound. See: man 2 flock
    """
    try:
        fd = os.open(directory / NAME, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound("container", directory.name) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        size = os.fstat(fd).st_size
        if State.from_json(json.loads(os.pread(fd, size, 0))) != before:
            return False
        os.pwrite(fd, json.dumps(now.to_json()).encode().ljust(size), 0)
        return True
    finally:
        os.close(fd)


def write_atomically(path: Path, text: str) -> None:
    """Put `text` at `path` by writing beside it and renaming, one writer at a time.

    Raises: OSError; nothing has changed then.
    """
    new = beside(path)
    try:
        new.write_text(text)
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
