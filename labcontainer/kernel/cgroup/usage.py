"""What a cgroup tells: usage and events, the same for both versions."""

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
    """How often a limit was met: processes killed for memory, forks refused, CPU periods throttled."""

    oom_kill: int = 0
    pids_max: int = 0
    throttled: int = 0
    throttled_usec: int = 0


def keyed(text: str) -> dict[str, int]:
    """A flat keyed file, ``oom 0\\noom_kill 1``, as a mapping.

    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#format
    """
    rows = (line.split() for line in text.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].lstrip("-").isdigit()}
