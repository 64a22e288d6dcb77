"""What happened between two looks at a cgroup: limits that were met, and limits that were changed.

The Linux kernel only counts ("killed: 2"); an event is what a count has grown by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from labcontainer.widgets.dashboard_scales import Scale, limit
from labcontainer.widgets.reading import Reading


@dataclass(frozen=True, slots=True)
class Mark:
    """One event: when, on which chart, and in words. `is_line` crosses the whole chart; others are ticks."""

    at_s: float
    clock_s: float
    chart: str
    kind: str
    sign: str
    tone: str
    words: str
    is_line: bool


def marks(readings: Sequence[Reading], scales: Sequence[Scale]) -> tuple[Mark, ...]:
    """All events between the first and the last of `readings`."""
    return tuple(mark for before, now in pairwise(readings) for mark in _between(before, now, scales))


def episodes(found: Sequence[Mark], pause_s: float) -> tuple[Mark, ...]:
    """Of events that follow each other closely, the first of each kind: the beginning is the news."""
    last: dict[str, float] = {}
    begun = []
    for mark in found:
        if mark.is_line or mark.at_s - last.get(mark.kind, float("-inf")) > pause_s:
            begun.append(mark)
        last[mark.kind] = mark.at_s
    return tuple(begun)


def _between(before: Reading, now: Reading, scales: Sequence[Scale]) -> Iterator[Mark]:
    def mark(chart: str, kind: str, sign: str, tone: str, words: str, *, is_line: bool = False) -> Mark:
        return Mark(now.at_s, now.clock_s, chart, kind, sign, tone, words, is_line)

    for scale in scales:
        was, told = limit(before.limits, scale.name), limit(now.limits, scale.name)
        if was is not None and told is not None and was != told:
            words = f"{scale.title}: {scale.words(was)} → {scale.words(told)}"
            chart = "cpu" if scale.name in ("cpus", "weight") else scale.name
            yield mark(chart, f"limit {scale.name}", "◆", "blue", words, is_line=True)
    earlier, counts = before.events, now.events
    if killed := counts.oom_kill - earlier.oom_kill:
        words = f"Out of memory: {_count(killed, 'process', 'es')} killed"
        yield mark("memory", "oom", "✕", "red", words, is_line=True)
    if counts.memory_max > earlier.memory_max:
        yield mark("memory", "full", "▲", "amber", "Memory at its limit: the Linux kernel takes back what it can")
    if counts.throttled > earlier.throttled:
        periods = (now.usage.cpu_periods or 0) - (before.usage.cpu_periods or 0)
        words = f"CPU quota used up: stopped in {counts.throttled - earlier.throttled} of {periods} periods"
        yield mark("cpu", "throttled", "▼", "amber", words)
    if refused := counts.pids_max - earlier.pids_max:
        yield mark("pids", "refused", "⊘", "red", f"Process limit met: {_count(refused, 'fork', 's')} refused")


def _count(number: int, noun: str, plural: str) -> str:
    return f"{number} {noun}{'' if number == 1 else plural}"
