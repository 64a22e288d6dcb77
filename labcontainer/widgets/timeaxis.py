"""A scale of time on which long pauses are cut short.

    calls    ▇▇ ▇      ▇▇▇▇
    time     0……1……… ⁄⁄ …9……10     nobody did anything for a long while at ⁄⁄

Starting a process takes a hundred times as long as mounting a file system; drawn true to scale, the calls would be
specks in a void. Between calls that stand close together the scale is true.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# A pause longer than this part of all busy time is cut, down to this part of the picture.
_LONG = 0.25
_SHORTENED = 0.05


@dataclass(frozen=True, slots=True)
class Axis:
    """`pauses` are (start, duration), in time; every time is in the same unit, counted from the first call."""

    end: int
    pauses: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, calls: Sequence[tuple[int, int]]) -> Axis:
        """The axis for calls given as (start, duration)."""
        gaps, end = [], 0
        for start, duration in sorted(calls):
            if start > end:
                gaps.append((end, start - end))
            end = max(end, start + duration)
        # The longest first: each that goes makes the rest more important.
        pauses, drawn = [], end
        for at, length in sorted(gaps, key=lambda gap: -gap[1]):
            if length <= _LONG * (drawn - length):
                break
            pauses.append((at, length))
            drawn -= length
        return cls(end, tuple(sorted(pauses)))

    def place(self, time: int) -> float:
        """Where `time` is, from 0 to 1."""
        true_to_scale = self.end - sum(length for _, length in self.pauses)
        room = 1 - _SHORTENED * len(self.pauses)
        passed, cut = time, 0.0
        for at, length in self.pauses:
            if time > at:
                passed -= min(time - at, length)
                cut += _SHORTENED * min((time - at) / length, 1)
        return (passed / true_to_scale * room if true_to_scale else 0.0) + cut

    def span(self, start: int, duration: int) -> float:
        """How wide `duration` is that begins at `start`."""
        return self.place(start + duration) - self.place(start)
