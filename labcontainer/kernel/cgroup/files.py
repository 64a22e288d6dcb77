"""Which file of a cgroup tells what: version 1's name of it, version 2's, and where this host has it.

    >>> files.find(group, "memory limit")
    PosixPath('/sys/fs/cgroup/memory/labcontainer/…/memory.limit_in_bytes')

Where two things stand in one file of a version (``memory.events``), both lead to it; "" is what that version lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labcontainer.errors import NotFound
from labcontainer.kernel.cgroup.group import Cgroup


@dataclass(frozen=True, slots=True)
class Names:
    """The same thing's file in either version."""

    v1: str
    v2: str


NAMES: Mapping[str, Names] = {
    "memory limit": Names("memory.limit_in_bytes", "memory.max"),
    "memory in use": Names("memory.usage_in_bytes", "memory.current"),
    "most ever in use": Names("memory.max_usage_in_bytes", "memory.peak"),
    "what it is used for": Names("memory.stat", "memory.stat"),
    "limit was met": Names("memory.failcnt", "memory.events"),
    "killed for memory": Names("memory.oom_control", "memory.events"),
    "swap limit": Names("memory.memsw.limit_in_bytes", "memory.swap.max"),
    "reservation": Names("memory.soft_limit_in_bytes", "memory.low"),
    "memory pressure": Names("", "memory.pressure"),
    "CPU quota": Names("cpu.cfs_quota_us", "cpu.max"),
    "CPU period": Names("cpu.cfs_period_us", "cpu.max"),
    "CPU weight": Names("cpu.shares", "cpu.weight"),
    "throttling": Names("cpu.stat", "cpu.stat"),
    "CPU pressure": Names("", "cpu.pressure"),
    "CPUs allowed": Names("cpuset.cpus", "cpuset.cpus"),
    "process limit": Names("pids.max", "pids.max"),
    "processes": Names("pids.current", "pids.current"),
    "forks refused": Names("pids.events", "pids.events"),
    "disk read limit": Names("blkio.throttle.read_bps_device", "io.max"),
    "disk weight": Names("blkio.bfq.weight", "io.bfq.weight"),
    "disk use": Names("blkio.throttle.io_service_bytes_recursive", "io.stat"),
    "disk pressure": Names("", "io.pressure"),
}


def find(group: Cgroup, what: str) -> Path | None:
    """Where `group` has the file for `what`, one of `NAMES`; None where this host has none.

    On a host with both versions it is the one that holds the limit: version 1's, where that is there.

    Raises: NotFound (nothing is called so). See: man 7 cgroups
    """
    if what not in NAMES:
        raise NotFound("cgroup file for", what, f"choose from {', '.join(NAMES)}")
    for name in (NAMES[what].v1, NAMES[what].v2):
        for directory in group.directories:
            if name and (directory / name).is_file():
                return directory / name
    return None
