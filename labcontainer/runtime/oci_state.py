"""What an OCI runtime remembers of a container: it stays with none, so all that it knows is a file and the kernel.

    <root>/<id>/state.json     the bundle, init by pid and start time, the cgroup
    <root>/<id>/exec.fifo      from "created" on, until start has written to it
    <root>/<id>/lock           held while a command changes the container

See: runtime-spec v1.2.0 runtime.md#state
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from labcontainer.errors import Conflict, NotFound, SpecError, UsageError
from labcontainer.kernel import cgroup
from labcontainer.runtime.life import Status
from labcontainer.runtime.state import ProcessId, write_atomically

NAME, FIFO = "state.json", "exec.fifo"
_ID = re.compile(r"[A-Za-z0-9_+.-]+")


@dataclass(frozen=True, slots=True)
class OciState:
    """One container; `created` is RFC 3339 in UTC, `cgroup` a name for `cgroup.open`."""

    id: str
    bundle: str
    rootfs: str
    oci_version: str
    init: ProcessId
    created: str
    cgroup: str = ""
    freezer: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one container is remembered: the directory `root` of the runtime, and its `id`."""

    root: Path
    id: str

    @property
    def directory(self) -> Path:
        """Its own directory."""
        return self.root / self.id

    @property
    def fifo(self) -> Path:
        """What its init reads the word to start from."""
        return self.directory / FIFO

    def make(self) -> None:
        """Take the id. Raises: UsageError (no name for a directory), Conflict."""
        if not _ID.fullmatch(self.id) or self.id in (".", ".."):
            raise UsageError("container id", self.id, "use letters, digits, and _ + . -")
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self.directory.mkdir(mode=0o711)
        except FileExistsError:
            raise Conflict("container", self.id, "exists already") from None
        os.mkfifo(self.fifo, 0o600)

    def save(self, state: OciState) -> None:
        """Write the state down, whole."""
        write_atomically(self.directory / NAME, json.dumps(asdict(state)))

    def load(self) -> OciState:
        """The state written. Raises: NotFound, SpecError (damaged)."""
        try:
            fields = json.loads((self.directory / NAME).read_text())
            return OciState(**{**fields, "init": ProcessId(**fields["init"])})
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound("container", self.id) from None
        except (ValueError, TypeError, KeyError) as error:
            raise SpecError(f"{self.directory / NAME}: {error}") from None

    def forget(self) -> None:
        """Remove all that is remembered."""
        shutil.rmtree(self.directory, ignore_errors=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the container for one command. Raises: NotFound."""
        try:
            fd = os.open(self.directory / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound("container", self.id) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def status(self, state: OciState) -> Status:
        """What the Linux kernel says. See: runtime-spec v1.2.0 runtime.md#state"""
        if not state.init.alive():
            return Status.STOPPED
        if self.fifo.exists():
            return Status.CREATED
        if state.freezer and cgroup.stands_still(Path(state.freezer)):
            return Status.PAUSED
        return Status.RUNNING


def document(state: OciState, status: Status) -> dict[str, Any]:
    """The specification's state, with what runc adds to it. See: runtime-spec v1.2.0 runtime.md#state"""
    return {
        "ociVersion": state.oci_version,
        "id": state.id,
        "pid": 0 if status is Status.STOPPED else state.init.pid,
        "status": status.value,
        "bundle": state.bundle,
        "rootfs": state.rootfs,
        "created": state.created,
        "annotations": dict(state.annotations),
        "owner": "",
    }


def every(root: Path) -> list[Place]:
    """The containers of `root`, by name."""
    return [Place(root, each.name) for each in sorted(root.iterdir()) if each.is_dir()] if root.is_dir() else []
