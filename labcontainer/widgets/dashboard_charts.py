"""The dashboard's five charts as data: what is used, beside the limit that holds at that moment.

What the Linux kernel counts upwards (CPU time, time lost by waiting) is shown as its growth between two looks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from labcontainer.kernel.cgroup import Usage
from labcontainer.widgets.dashboard_scales import NO_LIMIT, limit, mebibytes
from labcontainer.widgets.reading import RESOURCES, Reading

Values = tuple[float | None, ...]

_USEC = 1_000_000
# A limit that is far above what is used would press the picture flat: then only the caption tells it.
_LIMIT_IN_SIGHT = 6.0
_NO_PRESSURE = "This host does not measure pressure: cgroup version 2 or the kernel's psi=1 is missing."


@dataclass(frozen=True, slots=True)
class Series:
    """One line; in a stacked chart, one layer on top of those before it."""

    label: str
    tone: str
    values: Values


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture: its lines, the limit at each moment, the upper end of its scale, and the present in words."""

    name: str
    title: str
    unit: str  # "bytes", "cpus", "count" or "percent"
    stacked: bool
    series: tuple[Series, ...]
    limit: Values
    top: float
    says: str
    note: str


@dataclass(frozen=True, slots=True)
class Parts:
    """Memory by what could be done about it."""

    kept: int  # anonymous and shared memory: without swap it cannot be taken away
    cache: int  # copies of files: can be taken back at any time
    kernel: int  # the rest, in the Linux kernel itself


def parts(usage: Usage) -> Parts:
    """What the memory in use is, from memory.stat of either version."""
    stat = usage.memory_stat
    anonymous = stat.get("total_rss", stat.get("anon", 0))
    shared = stat.get("total_shmem", stat.get("shmem", 0))
    files = stat.get("total_cache", stat.get("file", 0))
    cache = max(0, files - shared)
    return Parts(anonymous + shared, cache, max(0, (usage.memory_bytes or 0) - anonymous - files))


def charts(readings: Sequence[Reading]) -> tuple[Chart, ...]:
    """The charts of these `readings`, the oldest first; one that the host has no controller for is left out."""
    if not readings:
        return ()
    now = readings[-1].usage
    counted = {"memory": now.memory_bytes, "cpu": now.cpu_usec, "throttling": now.cpu_periods, "pids": now.pids}
    made = [_DRAWN[name](readings) for name, value in counted.items() if value is not None]
    return (*made, _pressure(readings))


def _memory(readings: Sequence[Reading]) -> Chart:
    found = [parts(each.usage) for each in readings]
    series = (
        Series("anonymous and shared", "blue", tuple(each.kept for each in found)),
        Series("page cache", "teal", tuple(each.cache for each in found)),
        Series("Linux kernel", "violet", tuple(each.kernel for each in found)),
    )
    most = [each.usage.memory_bytes or 0 for each in readings]
    return _chart("memory", "Memory", "bytes", series, _limits(readings, "memory"), most, mebibytes, stacked=True)


def _cpu(readings: Sequence[Reading]) -> Chart:
    used = _rates(readings, lambda each: each.usage.cpu_usec)
    quotas = tuple(None if each is None else each / 10**9 for each in _limits(readings, "cpus"))
    series = (Series("CPUs in use", "blue", used),)
    return _chart("cpu", "CPU", "cpus", series, quotas, used, lambda value: f"{value:.2f}", least=0.1)


def _throttling(readings: Sequence[Reading]) -> Chart:
    cut: list[float | None] = [None]
    for before, now in pairwise(readings):
        periods = (now.usage.cpu_periods or 0) - (before.usage.cpu_periods or 0)
        stopped = (now.usage.cpu_throttled or 0) - (before.usage.cpu_throttled or 0)
        cut.append(100 * stopped / periods if periods > 0 else 0.0)
    says = "–" if cut[-1] is None else f"{cut[-1]:.0f} % of periods"
    series = (Series("periods cut short", "amber", tuple(cut)),)
    return Chart("throttling", "Throttling", "percent", False, series, _none(readings), 100.0, says, "")


def _pids(readings: Sequence[Reading]) -> Chart:
    values = tuple(each.usage.pids for each in readings)
    series = (Series("processes and threads", "blue", values),)
    return _chart("pids", "Processes", "count", series, _limits(readings, "pids"), values, _whole, least=4.0)


def _pressure(readings: Sequence[Reading]) -> Chart:
    tones = {"memory": "blue", "cpu": "amber", "io": "violet"}
    measured = [name for name in RESOURCES if readings[-1].pressure.get(name) is not None]
    series = tuple(Series({"cpu": "CPU", "io": "I/O"}.get(n, n), tones[n], _stalls(readings, n)) for n in measured)
    top = max([10.0, *(value or 0.0 for each in series for value in each.values)])
    last = [(each.label, each.values[-1]) for each in series]
    says = ", ".join(f"{label} {value:.0f} %" for label, value in last if value is not None)
    note = "" if measured else _NO_PRESSURE
    return Chart("pressure", "Pressure", "percent", False, series, _none(readings), min(100.0, top), says or "–", note)


_DRAWN: Mapping[str, Callable[[Sequence[Reading]], Chart]] = {
    "memory": _memory,
    "cpu": _cpu,
    "throttling": _throttling,
    "pids": _pids,
}


def _stalls(readings: Sequence[Reading], name: str) -> Values:
    """Per cent of the time in which at least one process waited."""

    def total(reading: Reading) -> int | None:
        found = reading.pressure.get(name)
        return None if found is None else found.some.total_usec

    return tuple(None if value is None else min(100.0, 100 * value) for value in _rates(readings, total))


def _rates(readings: Sequence[Reading], count: Callable[[Reading], int | None]) -> Values:
    """How much a count of microseconds has grown in each second, in seconds."""
    found: list[float | None] = [None]
    for before, now in pairwise(readings):
        was, told, passed_s = count(before), count(now), now.at_s - before.at_s
        known = was is not None and told is not None and passed_s > 0
        found.append(max(0, told - was) / _USEC / passed_s if known and was is not None and told is not None else None)
    return tuple(found)


def _limits(readings: Sequence[Reading], name: str) -> Values:
    found = (limit(each.limits, name) for each in readings)
    return tuple(None if value == NO_LIMIT else value for value in found)


def _none(readings: Sequence[Reading]) -> Values:
    return (None,) * len(readings)


def _chart(
    name: str, title: str, unit: str, series: tuple[Series, ...], limits: Values, used: Sequence[float | None],
    told: Callable[[float], str], *, stacked: bool = False, least: float = 1.0,
) -> Chart:  # fmt: skip
    """A chart with a limit, which is in sight unless it is far away."""
    most = max([least, *(value for value in used if value is not None)])
    near = [value for value in limits if value is not None and value <= _LIMIT_IN_SIGHT * most]
    now, bound = used[-1], limits[-1]
    says = "–" if now is None else told(now)
    says += " of " + told(bound) if bound is not None else ", no limit"
    far = bound is not None and bound not in near
    note = f"The limit, {told(bound)}, is far above the picture." if far and bound is not None else ""
    return Chart(name, title, unit, stacked, series, limits, 1.12 * max([most, *near]), says, note)


def _whole(value: float) -> str:
    return f"{value:.0f}"
