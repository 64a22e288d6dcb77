"""One look at a container for lists and inspect: what was asked for, and how it stands, read once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainer.engine import mount_syntax, record
from labcontainer.engine.record import Record
from labcontainer.runtime import state
from labcontainer.runtime.life import Status
from labcontainer.runtime.state import State

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
        return str(self.record.settings.get("network_mode") or "none")

    def mounts(self) -> list[dict[str, Any]]:
        """What ``-v`` and ``--mount`` have mounted, under docker's field names (``Mounts`` of inspect)."""
        try:
            spec = json.loads((self.directory / "config.json").read_text())
        except (OSError, ValueError):
            return []
        modes = mount_syntax.modes(self.record.settings)
        return [_mounted(each, modes) for each in spec.get("mounts", ()) if each["destination"] in modes]


def of(directory: Path) -> Summary:
    """A container's summary now. Raises: NotFound, SpecError."""
    return Summary(directory, record.read(directory), state.observe(directory))


def _mounted(each: dict[str, Any], modes: Mapping[str, str]) -> dict[str, Any]:
    bind, options, place = each.get("type") == "bind", each.get("options", ()), each["destination"]
    propagation = next((one for one in options if one.endswith(("private", "shared", "slave"))), "rprivate")
    return {
        "Type": "bind" if bind else "tmpfs",
        "Source": each.get("source", "") if bind else "",
        "Destination": place,
        "Mode": modes[place],
        "RW": "ro" not in options,
        "Propagation": propagation if bind else "",
    }
