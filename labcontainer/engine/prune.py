"""Removing what nobody uses: the verbs ``prune``.

    {"ContainersDeleted": ["4f5c…"], "SpaceReclaimed": 12288}

One that somebody is just making, or starting, is in use: it is left.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labcontainer.engine import disk_usage, record, selection, sizes
from labcontainer.engine import filters as filtering
from labcontainer.engine.container import Container
from labcontainer.engine.filters import Filters
from labcontainer.engine.holding import holding
from labcontainer.engine.summary import Summary
from labcontainer.engine.when import nanoseconds
from labcontainer.errors import LabError, NotFound, UsageError
from labcontainer.runtime import events
from labcontainer.runtime.life import Status

if TYPE_CHECKING:
    from labcontainer.engine.engine import Engine

FILTERS = ("until", "label", "label!")


def containers(engine: Engine, given: filtering.Given) -> dict[str, Any]:
    """See `Containers.prune`."""
    wanted = filtering.parse(given, FILTERS)
    before_ns = until_ns(wanted)
    deleted, reclaimed_bytes = [], 0
    for each in selection.select(engine, all=True):
        if not _is_idle(each) or not wanted.labels(each.record.labels) or each.record.created_ns >= before_ns:
            continue
        written_bytes = sizes.tree_bytes(each.directory / "upper")
        with contextlib.suppress(LabError):  # started or removed by somebody else since we looked
            Container(engine, each.directory).remove()
            deleted.append(each.id)
            reclaimed_bytes += written_bytes
    events.record(engine.root, "prune", "", {"reclaimed": str(reclaimed_bytes)})
    return {"ContainersDeleted": deleted, "SpaceReclaimed": reclaimed_bytes}


def layers(engine: Engine, *, all: bool) -> dict[str, Any]:
    """Remove unpacked layers on which no container stands: those that no image leads to, with `all` every one.

    ``{"LayersDeleted": [hex, …], "SpaceReclaimed": bytes}``. An image that is asked for has its layers unpacked again.
    """
    deleted, reclaimed_bytes = [], 0
    # Under this lock a container that is being made looks once more whether its layers are there.
    with engine.locked():
        kept = set() if all else {diff_id.hex for image in engine.store.images() for diff_id in image.diff_ids}
        for directory in engine.container_directories():
            kept |= _layers_below(directory)
        for layer in engine.snapshots.unpacked():
            if layer.name not in kept:
                reclaimed_bytes += sizes.tree_bytes(layer)
                engine.snapshots.forget(layer)
                deleted.append(layer.name)
    return {"LayersDeleted": deleted, "SpaceReclaimed": reclaimed_bytes}


def cache(engine: Engine) -> dict[str, Any]:
    """Remove what is kept only to be quick: ``{"CachesDeleted": [name, …], "SpaceReclaimed": bytes}``."""
    deleted, reclaimed_bytes = [], 0
    for path in disk_usage.cached(engine.root):
        with contextlib.suppress(FileNotFoundError):
            size_bytes = path.stat().st_size
            path.unlink()
            reclaimed_bytes += size_bytes
            deleted.append(path.name)
    return {"CachesDeleted": deleted, "SpaceReclaimed": reclaimed_bytes}


def _layers_below(directory: Path) -> set[str]:
    try:
        return {Path(lowerdir).name for lowerdir in record.read_request(directory).lowerdirs}
    except NotFound:
        return set()


def until_ns(wanted: Filters) -> float:
    """What was made before this time may go; infinity where ``until`` is not given. Raises: UsageError."""
    several = wanted.of("until")
    if len(several) > 1:
        raise UsageError("filter until", list(several), "give one time")
    return nanoseconds("filter until", several[0]) if several else float("inf")


def _is_idle(each: Summary) -> bool:
    if each.state.status is Status.STOPPED:
        return True
    if each.state.status is not Status.CREATED or each.state.monitor is not None:
        return False
    try:
        # `run` holds what it has made until a monitor has it.
        os.close(holding(each.directory))
    except OSError:
        return False
    return True
