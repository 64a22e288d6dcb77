"""What a client asks of a zygote: everything a monitor must know, as one JSON message."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labcontainer.kernel.overlay import Overlay


@dataclass(frozen=True, slots=True)
class Request:
    """One container to be created from the bundle in `directory`.

    `lowerdirs` are the image's layers, topmost first; without them the bundle's rootfs is used as it is. With
    `remove` the whole directory goes when the container has ended. With `keep` it waits for its start when the client
    has hung up; without, a client that is killed before it could say "start" leaves nothing. `trace` is a file for the
    events, or None.
    """

    id: str
    directory: str
    lowerdirs: tuple[str, ...] = ()
    cgroup: str | None = None
    cache: str = ""
    remove: bool = False
    keep: bool = False
    interactive: bool = False
    log: bool = True
    trace: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The message's fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Request:
        """The inverse of `to_json`."""
        known = {name: fields[name] for name in cls.__slots__ if name in fields}
        return cls(**{**known, "lowerdirs": tuple(fields.get("lowerdirs", ()))})

    def overlay(self, *, userxattr: bool) -> Overlay | None:
        """The overlay that init mounts as the root, with the bundle's own upperdir and workdir."""
        if not self.lowerdirs:
            return None
        directory = Path(self.directory)
        lower = tuple(Path(path) for path in self.lowerdirs)
        return Overlay(lower, directory / "upper", directory / "work", userxattr)
