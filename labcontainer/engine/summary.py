"""One look at a container for lists and inspect: what was asked for, and how it stands, read once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainer.engine import record
from labcontainer.engine.options import Options
from labcontainer.engine.record import Record
from labcontainer.runtime import state
from labcontainer.runtime.life import Status
from labcontainer.runtime.state import State

_DEFAULTS = Options()
_WORDS = {Status.CREATING: "created", Status.STOPPED: "exited"}


@dataclass(frozen=True, slots=True)
class Summary:
    """A container as a list shows it."""

    directory: Path
    record: Record
    state: State

    @property
    def id(self) -> str:
        """The container's id."""
        return self.directory.name

    @property
    def status(self) -> str:
        """Docker's word for the state: created, running, paused, restarting, exited."""
        return _WORDS.get(self.state.status, self.state.status.value)

    @property
    def network(self) -> str:
        """The network that it is in."""
        return str(self.record.settings.get("network_mode") or _DEFAULTS.network_mode)

    def mounts(self) -> list[dict[str, Any]]:
        """What is bound into it, under docker's field names (``Mounts`` of inspect)."""
        return mounts(self.directory)


def of(directory: Path) -> Summary:
    """A container's summary now. Raises: NotFound, SpecError."""
    return Summary(directory, record.read(directory), state.observe(directory))


def mounts(directory: Path) -> list[dict[str, Any]]:
    """What is bound into the container of `directory`, under docker's field names."""
    try:
        spec = json.loads((directory / "config.json").read_text())
    except (OSError, ValueError):
        return []
    found = []
    for each in spec.get("mounts", ()):
        source, options = each.get("source", ""), each.get("options", ())
        # /sys and the files that the engine itself makes for a container are nobody's wish.
        if each.get("type") != "bind" or each["destination"] == "/sys" or Path(source).is_relative_to(directory):
            continue
        propagation = next((one for one in options if one.endswith(("private", "shared", "slave"))), "rprivate")
        found.append(
            {
                "Type": "bind",
                "Source": source,
                "Destination": each["destination"],
                "Mode": "ro" if "ro" in options else "",
                "RW": "ro" not in options,
                "Propagation": propagation,
            }
        )
    return found
