"""What a cgroup tells: usage, events and pressure, the same for both versions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DeviceIo:
    """What was read from one disk and written to it, in bytes and in requests."""

    major: int
    minor: int
    read_bytes: int = 0
    write_bytes: int = 0
    reads: int = 0
    writes: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What the cgroup's processes use, or have used. None where the host has no such controller.

    `memory_bytes` is everything that is charged, the page cache too; `memory_limit_bytes` the smallest limit that
    holds, of this cgroup, of those above it, and of the machine. `cpu_periods` are those with a quota, of which
    `cpu_throttled` were cut short. `block_io` has the disks on which the Linux kernel counts: with version 1, and from
    Linux 6.10 on, those that any cgroup has ever limited.
    """

    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None
    memory_limit_bytes: int | None = None
    memory_swap_bytes: int | None = None
    memory_inactive_file_bytes: int | None = None
    memory_stat: Mapping[str, int] = field(default_factory=dict)
    cpu_usec: int | None = None
    cpu_user_usec: int | None = None
    cpu_system_usec: int | None = None
    cpu_periods: int | None = None
    cpu_throttled: int | None = None
    cpu_throttled_usec: int | None = None
    pids: int | None = None
    block_io: tuple[DeviceIo, ...] | None = None

    @property
    def anything(self) -> bool:
        """Whether anything was read at all: a cgroup that is gone tells nothing. See: man 7 cgroups"""
        return not (self.memory_bytes is None and self.cpu_usec is None and self.pids is None)

    @property
    def memory_working_bytes(self) -> int | None:
        """The memory that ``docker stats`` shows: without the cache that is given up first.

        See: https://docs.docker.com/reference/cli/docker/container/stats/
        """
        if self.memory_bytes is None:
            return None
        inactive = self.memory_inactive_file_bytes or 0
        return self.memory_bytes - inactive if inactive < self.memory_bytes else self.memory_bytes


@dataclass(frozen=True, slots=True)
class Events:
    """How often a limit was met.

    `memory_max`: memory was at its limit and had to be reclaimed; `oom`: nothing was left to reclaim (version 2 alone
    counts that); `oom_kill`: processes killed for it; `under_oom`: processes stand still for want of memory at this
    moment, because killing was switched off (version 1 alone can do that); `pids_max`: forks refused; `throttled`: CPU
    periods in which the quota ran out.
    """

    memory_max: int = 0
    oom: int | None = None
    oom_kill: int = 0
    under_oom: bool | None = None
    pids_max: int = 0
    throttled: int = 0
    throttled_usec: int = 0


@dataclass(frozen=True, slots=True)
class Stall:
    """How long processes stood still: per cent of the last 10, 60 and 300 seconds, and microseconds in all."""

    avg10: float = 0.0
    avg60: float = 0.0
    avg300: float = 0.0
    total_usec: int = 0


@dataclass(frozen=True, slots=True)
class Pressure:
    """The time in which at least one process waited for the resource (`some`), or all of them did (`full`)."""

    some: Stall
    full: Stall


def keyed(text: str) -> dict[str, int]:
    """A flat keyed file, ``oom 0\\noom_kill 1``, as a mapping.

    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#format
    """
    rows = (line.split() for line in text.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].lstrip("-").isdigit()}


def pressure(text: str) -> Pressure:
    """A pressure file; one without the line ``full`` (cpu on older kernels) has zeros there.

    ::

        some avg10=0.00 avg60=0.12 avg300=0.03 total=41234
        full avg10=0.00 avg60=0.00 avg300=0.00 total=0

    See: https://docs.kernel.org/accounting/psi.html
    """
    found = {"some": Stall(), "full": Stall()}
    for line in text.splitlines():
        kind, *pairs = line.split()
        values = dict(pair.split("=", 1) for pair in pairs)
        found[kind] = Stall(
            float(values["avg10"]), float(values["avg60"]), float(values["avg300"]), int(values["total"])
        )
    return Pressure(found["some"], found["full"])


def machine_memory_bytes() -> int:
    """All the memory of this machine, or of what it is shown of one. See: man 3 sysconf"""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
