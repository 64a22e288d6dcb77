"""Docker's filters over containers: ``ps --filter``, ``containers.list(filters=…)``, ``prune``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from labcontainer.engine import filters as filtering
from labcontainer.engine import summary
from labcontainer.engine.filters import Filters
from labcontainer.engine.summary import Summary
from labcontainer.errors import LabError, UsageError
from labcontainer.oci.digest import Digest
from labcontainer.runtime.life import Status

if TYPE_CHECKING:
    from labcontainer.engine.engine import Engine

FILTERS = (
    "ancestor", "before", "exited", "health", "id", "label", "name", "network", "since", "status", "volume",
)  # fmt: skip
STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
_HEALTH = ("starting", "healthy", "unhealthy", "none")
_SHOWN = (Status.RUNNING, Status.PAUSED, Status.RESTARTING)


def select(
    engine: Engine,
    *,
    all: bool = False,
    before: str | None = None,
    filters: filtering.Given = None,
    limit: int = -1,
    since: str | None = None,
) -> list[Summary]:
    """The containers that fit, the newest first; without `all` those that run, unless ``status`` or `limit` is given.

    Raises: UsageError; NotFound, Conflict (`before` or `since` names none, or several).
    """
    wanted = filtering.parse({**(filters or {}), **_named(before=before, since=since)}, FILTERS)
    _check(wanted)
    chosen = _every(engine.container_directories())
    if not all and limit < 1 and not wanted.of("status"):
        chosen = (each for each in chosen if each.state.status in _SHOWN)
    fitting = [each for each in chosen if _fits(each, wanted)]
    for name, later in (("before", False), ("since", True)):
        for text in wanted.of(name):
            moment = engine.containers.get(text).record.created_ns
            fitting = [
                each
                for each in fitting
                if each.record.created_ns != moment and (each.record.created_ns > moment) == later
            ]
    if wanted.of("ancestor"):
        images = _descendants(engine, wanted)
        fitting = [
            each for each in fitting if each.record.image in wanted.of("ancestor") or each.record.image_id in images
        ]
    fitting.sort(key=lambda each: -each.record.created_ns)
    return fitting if limit < 1 else fitting[:limit]


def _every(directories: Iterable[Path]) -> Iterator[Summary]:
    for directory in directories:
        try:
            yield summary.of(directory)
        except LabError:
            continue  # removed while we looked, or half written by a killed engine: mend() takes it away


def _named(**given: str | None) -> dict[str, str]:
    return {name: value for name, value in given.items() if value is not None}


def _check(wanted: Filters) -> None:
    for name, words in (("status", STATUSES), ("health", _HEALTH)):
        for text in wanted.of(name):
            if text not in words:
                raise UsageError(f"filter {name}", text, f"choose from {', '.join(words)}")
    for text in wanted.of("exited"):
        if not re.fullmatch(r"-?\d+", text):
            raise UsageError("filter exited", text, "give an exit code")
    for name in ("id", "name"):
        for text in wanted.of(name):
            try:
                re.compile(text)
            except re.error as error:
                raise UsageError(f"filter {name}", text, f"it is no regular expression: {error}") from None


def _fits(each: Summary, wanted: Filters) -> bool:
    return (
        _matches(wanted, "id", each.id)
        and _matches(wanted, "name", each.record.name)
        and wanted.labels(each.record.labels)
        and wanted.exact("status", each.status)
        and (
            not wanted.of("exited")
            or (each.status == "exited" and wanted.exact("exited", str(each.state.exit_code or 0)))
        )
        and wanted.exact("health", each.state.health or "none")
        and wanted.exact("network", each.network)
        and (not wanted.of("volume") or wanted.exact("volume", *_places(each)))
    )


def _matches(wanted: Filters, name: str, text: str) -> bool:
    """As docker has it, a name is meant by any part of it, or by a regular expression (``^web$``)."""
    return not wanted.of(name) or any(re.search(each, text) for each in wanted.of(name))


def _places(each: Summary) -> Iterator[str]:
    for mount in each.mounts():
        yield from (mount[name] for name in ("Name", "Source", "Destination") if name in mount)


def _descendants(engine: Engine, wanted: Filters) -> set[str]:
    """The ids of the images that are one of ``ancestor``, or stand on it: their lowest layers are its layers."""
    found: list[tuple[Digest, ...]] = []
    for text in wanted.of("ancestor"):
        try:
            found.append(engine.store.resolve(text).diff_ids)
        except LabError:
            continue  # no such image is no error: a container may outlive the name of its image
    every = engine.store.images()
    return {str(image.id) for image in every if any(image.diff_ids[: len(below)] == below for below in found)}
