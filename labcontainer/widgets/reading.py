"""One look at a container's cgroup: what it may use, what it uses, and how often it met a limit.

>>> read(container).usage.memory_bytes
45715456
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labcontainer.engine import stats
from labcontainer.errors import KernelError
from labcontainer.kernel import cgroup, file
from labcontainer.kernel.cgroup import Events, Limits, Pressure, Usage, files

if TYPE_CHECKING:
    from labcontainer.engine import Container

RESOURCES = ("memory", "cpu", "io")
# The files that stand beside the sliders: what they say is shown as the Linux kernel wrote it.
SHOWN = ("memory limit", "CPU quota", "process limit", "CPU weight")


@dataclass(frozen=True, slots=True)
class File:
    """A file of the cgroup, and what it said."""

    path: str
    says: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What the Linux kernel said at one moment: `at_s` of CLOCK_MONOTONIC, `clock_s` seconds since 1970."""

    at_s: float
    clock_s: float
    usage: Usage
    events: Events
    limits: Limits
    pressure: Mapping[str, Pressure | None] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)


def read(container: Container) -> Reading | None:
    """Look now; None where the container does not run.

    Raises: HostError (it runs without a cgroup, so nobody counts), NotFound (it was removed).
    """
    now = container.state
    if now.init is None or not now.init.alive():
        return None
    group = stats.counted(now)
    at_s, used = time.monotonic(), group.usage()
    if not used.anything:
        return None  # it ended while we looked
    return Reading(
        at_s=at_s,
        clock_s=time.time(),
        usage=used,
        events=group.events(),
        limits=group.limits(),
        pressure={name: group.pressure(name) for name in RESOURCES},
        files={what: found for what in SHOWN if (found := _file(group, what)) is not None},
    )


def _file(group: cgroup.Cgroup, what: str) -> File | None:
    path = files.find(group, what)
    try:
        return None if path is None else File(str(path), file.read(path))
    except KernelError:
        return None  # it was removed meanwhile
