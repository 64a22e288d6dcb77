"""What a cgroup tells: usage, events and pressure, the same for both versions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """What the cgroup's processes use, or have used. None where the host has no such controller."""

    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None
    cpu_usec: int | None = None
    pids: int | None = None


@dataclass(frozen=True, slots=True)
class Events:
    """How often a limit was met.

    `memory_max`: memory was at its limit and had to be reclaimed; `oom`: nothing was left to reclaim (version 2 alone
    counts that); `oom_kill`: processes killed for it; `pids_max`: forks refused; `throttled`: CPU periods in which the
    quota ran out.
    """

    memory_max: int = 0
    oom: int | None = None
    oom_kill: int = 0
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
