"""``engine.events()``: what happens to containers, as it happens."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from labcontainer.engine import filters as filtering
from labcontainer.engine.filters import Filters
from labcontainer.engine.stream import Stream
from labcontainer.engine.when import When, nanoseconds
from labcontainer.errors import SpecError
from labcontainer.oci.reference import Reference
from labcontainer.runtime import events
from labcontainer.runtime.changes import Changes

FILTERS = ("container", "event", "image", "label", "network", "scope", "type", "volume")
# Of these actions the command or the verdict is a part: ``exec_start: sh -c true``.
_WITH_MORE = ("exec_create", "exec_start", "health_status")


def stream(root: Path, since: When, until: When, given: filtering.Given, *, decode: bool) -> Stream[Any]:
    """The events of the engine root that fit; without `since` those from now on. Raises: UsageError."""
    wanted = filtering.parse(given, FILTERS)
    now = time.time_ns()
    # As docker has it: who gives only an end wants what was before it.
    since_ns = nanoseconds("since", since, now) if since is not None else 0 if until is not None else now
    until_ns = None if until is None else nanoseconds("until", until, now)
    changes = Changes(root)
    found = Stream(events.follow(root, changes, since_ns=since_ns, until_ns=until_ns), changes)
    fitting = found.map(lambda each: (event for event in each if fits(event, wanted)))
    return fitting if decode else fitting.map(_encoded)


def _encoded(found: Iterable[dict[str, Any]]) -> Generator[bytes, None, None]:
    for event in found:
        yield json.dumps(event, separators=(",", ":")).encode() + b"\n"


def fits(event: dict[str, Any], wanted: Filters) -> bool:
    """Whether an event passes all filters."""
    actor, type = event["Actor"], event["Type"]
    attributes = actor["Attributes"]
    action = event["Action"]
    names = (action, action.partition(":")[0]) if action.startswith(_WITH_MORE) else (action,)
    return (
        wanted.exact("event", *names)
        and wanted.exact("type", type)
        and wanted.exact("scope", event.get("scope", "local"))
        and all(
            wanted.prefix(kind, actor["ID"], attributes.get("name", "")) for kind in ("container", "volume", "network")
        )
        and wanted.labels(attributes)
        and wanted.exact("image", *_images(event))
    )


def _images(event: dict[str, Any]) -> tuple[str, ...]:
    """The names of the image that an event is about, with and without the tag."""
    name = event["Actor"]["Attributes"].get("name" if event["Type"] == "image" else "image", "")
    try:
        return event["Actor"]["ID"], name, Reference.parse(name).repository
    except SpecError:
        return event["Actor"]["ID"], name
