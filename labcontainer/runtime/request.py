"""What a client asks of a zygote: everything a monitor, or the keeper of an exec, must know, as one JSON message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labcontainer.kernel.overlay import Overlay


@dataclass(frozen=True, slots=True)
class Restart:
    """Docker's restart policy: ``no``, ``on-failure`` (at most `retries` times, 0 for ever), ``always`` or
    ``unless-stopped``."""

    policy: str = "no"
    retries: int = 0

    def wants(self, exit_code: int, restarts: int, *, halted: bool) -> bool:
        """Whether a container that ended so is to be started again."""
        if halted or self.policy == "no":
            return False
        if self.policy == "on-failure":
            return exit_code != 0 and (not self.retries or restarts < self.retries)
        return True


@dataclass(frozen=True, slots=True)
class Health:
    """A health check: its command, and docker's times in seconds."""

    command: tuple[str, ...]
    interval_s: float = 30.0
    timeout_s: float = 30.0
    start_period_s: float = 0.0
    start_interval_s: float = 5.0
    retries: int = 3


@dataclass(frozen=True, slots=True)
class Request:
    """One container to be run from the bundle in `directory`.

    `lowerdirs` are the image's layers, topmost first; without them the bundle's rootfs is used as it is. With
    `remove` the whole directory goes when the container has ended. `init` puts a reaper at PID 1; `stdin_once` closes
    stdin when the client that fed it says so. `log` are the log's options, None for no log. `joins` are the
    namespaces of other containers that it shares: kind → id. `trace` is a file for the events, or None. With `adopt`
    the container runs already, and its monitor was killed.
    """

    id: str
    directory: str
    lowerdirs: tuple[str, ...] = ()
    cgroup: str | None = None
    cache: str = ""
    remove: bool = False
    interactive: bool = False
    stdin_once: bool = False
    init: bool = False
    log: Mapping[str, str] | None = field(default_factory=dict)
    restart: Restart = Restart()
    health: Health | None = None
    joins: Mapping[str, str] = field(default_factory=dict)
    trace: str | None = None
    adopt: bool = False

    def to_json(self) -> dict[str, Any]:
        """The message's fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Request:
        """The inverse of `to_json`."""
        known = {name: fields[name] for name in cls.__slots__ if name in fields}
        known["lowerdirs"] = tuple(fields.get("lowerdirs", ()))
        known["restart"] = Restart(**fields.get("restart", {}))
        if health := fields.get("health"):
            known["health"] = Health(**{**health, "command": tuple(health["command"])})
        return cls(**known)

    def overlay(self, *, userxattr: bool) -> Overlay | None:
        """The overlay that init mounts as the root, with the bundle's own upperdir and workdir."""
        if not self.lowerdirs:
            return None
        from labcontainer.kernel.overlay import Overlay

        directory = Path(self.directory)
        lower = tuple(Path(path) for path in self.lowerdirs)
        return Overlay(lower, directory / "upper", directory / "work", userxattr)


@dataclass(frozen=True, slots=True)
class ExecRequest:
    """One more process in the running container of `directory`; `process` is the runtime specification's object."""

    id: str
    directory: str
    process: Mapping[str, Any]
    cache: str = ""
    interactive: bool = False
    trace: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The message's fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> ExecRequest:
        """The inverse of `to_json`."""
        return cls(**{name: fields[name] for name in cls.__slots__ if name in fields})
