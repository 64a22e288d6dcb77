"""The stops of the dashboard's sliders: few enough to be met by hand, from a limit's least to this machine's most.

>>> scales(machine)["pids"].words(64)
'64'

A limit that lies between two stops, as Python may set it, is shown as it is; the slider stands at the stop below.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from labcontainer.errors import UsageError
from labcontainer.kernel.cgroup import Limits, Machine

MIB = 1 << 20
NO_LIMIT = -1
_CPU_PERIOD_USEC = 100_000
_NANO = 10**9
_USUAL_SHARES = 1024


@dataclass(frozen=True, slots=True)
class Scale:
    """One slider: the limit's `name`, docker-py's `keyword` for it, which cgroup `file` holds it, and its stops.

    The last stop is `NO_LIMIT`, where there is such a thing.
    """

    name: str
    title: str
    keyword: str
    file: str
    stops: tuple[int, ...]

    def value(self, stop: int) -> int:
        """The limit at `stop`, counted from 0. Raises: UsageError."""
        if not 0 <= stop < len(self.stops):
            raise UsageError(self.name, stop, f"the slider has the stops 0 to {len(self.stops) - 1}")
        return self.stops[stop]

    def stop(self, value: int) -> int:
        """The stop at which `value` is shown."""
        if value == NO_LIMIT:
            return len(self.stops) - 1
        finite = [each for each in self.stops if each != NO_LIMIT]
        return max(0, bisect_right(finite, value) - 1)

    def words(self, value: int) -> str:
        """A limit as people say it."""
        if value == NO_LIMIT:
            return "no limit"
        return {"memory": mebibytes, "cpus": _cpus, "weight": _weight}.get(self.name, str)(value)


def scales(machine: Machine) -> Mapping[str, Scale]:
    """The four sliders for a machine of that size."""
    memory = [size << 20 for exponent in range(3, 24) for size in (1 << exponent, 3 << (exponent - 1))]
    parts = [_NANO * hundredths // 100 for hundredths in (5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90)]
    whole = [_NANO * quarters // 4 for quarters in range(4, 4 * len(machine.cpus) + 1)]
    pids = [1, 2, 4, *(size for exponent in range(3, 12) for size in (1 << exponent, 3 << (exponent - 1)))]
    return {
        "memory": Scale(
            "memory", "Memory", "mem_limit", "memory limit",
            (6 * MIB, *(size for size in memory if size <= machine.memory_bytes), NO_LIMIT),
        ),
        "cpus": Scale("cpus", "CPUs", "nano_cpus", "CPU quota", (*parts, *whole, NO_LIMIT)),
        "pids": Scale("pids", "Processes", "pids_limit", "process limit", (*pids, NO_LIMIT)),
        "weight": Scale(
            "weight", "CPU weight", "cpu_shares", "CPU weight", (2, *(1 << exponent for exponent in range(4, 19)))
        ),
    }  # fmt: skip


def limit(limits: Limits, name: str) -> int | None:
    """The limit called `name` in a scale's unit; None where the host has no such controller."""
    match name:
        case "memory":
            return limits.memory_bytes
        case "cpus":
            quota = limits.cpu_quota_usec
            period = limits.cpu_period_usec or _CPU_PERIOD_USEC
            return quota if quota is None or quota < 0 else _NANO * quota // period
        case "pids":
            return limits.pids_max
        case _:
            return limits.cpu_shares


def mebibytes(size: float) -> str:
    """``43 MiB``, ``1.5 GiB``."""
    if abs(size) >= 1 << 30:
        return f"{size / (1 << 30):.3g} GiB"
    return f"{size / MIB:.0f} MiB" if abs(size) >= 10 * MIB else f"{size / MIB:.1f} MiB"


def _cpus(nano_cpus: int) -> str:
    return f"{nano_cpus / _NANO:.3g}"


def _weight(shares: int) -> str:
    return f"{shares} (usual)" if shares == _USUAL_SHARES else str(shares)
