"""What was asked for when a container was made: ``container.json`` for people, ``request.json`` for its monitor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from labcontainer.errors import NotFound, SpecError
from labcontainer.runtime.request import Request
from labcontainer.runtime.state import write_atomically

RECORD = "container.json"
REQUEST = "request.json"


@dataclass(frozen=True, slots=True)
class Record:
    """A container as it was asked for. `settings` are docker-py's keywords as they were given.

    `transient`: it was made to be run at once, and is nothing that anybody would come back to before.
    """

    id: str
    name: str
    image: str
    image_id: str
    command: tuple[str, ...]
    created_ns: int
    remove: bool
    labels: Mapping[str, str]
    stop_signal: str = "SIGTERM"
    stop_timeout_s: float = 10
    transient: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


def read(directory: Path) -> Record:
    """The record in `directory`. Raises: NotFound (kind "container"), SpecError."""
    fields = _read(directory, RECORD)
    try:
        return Record(**{**fields, "command": tuple(fields["command"])})
    except (TypeError, KeyError) as error:
        raise SpecError(f"{directory / RECORD}: {error}") from None


def write(directory: Path, record: Record) -> None:
    """Replace the record in `directory` whole."""
    write_atomically(directory / RECORD, json.dumps(asdict(record)))


def read_request(directory: Path) -> Request:
    """What the monitor of the container in `directory` is asked. Raises: NotFound, SpecError."""
    fields = _read(directory, REQUEST)
    try:
        return Request.from_json(fields)
    except (TypeError, KeyError) as error:
        raise SpecError(f"{directory / REQUEST}: {error}") from None


def write_request(directory: Path, request: Request) -> None:
    """Replace what the monitor is asked."""
    write_atomically(directory / REQUEST, json.dumps(request.to_json()))


def _read(directory: Path, name: str) -> dict[str, Any]:
    try:
        with open(f"{directory}/{name}", "rb") as file:
            fields = json.loads(file.read())
    except FileNotFoundError:
        raise NotFound("container", directory.name) from None
    except ValueError as error:
        raise SpecError(f"{directory / name}: {error}") from None
    if not isinstance(fields, dict):
        raise SpecError(f"{directory / name}: it must be a JSON object")
    return fields
