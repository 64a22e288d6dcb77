"""Sizes and times in docker's words: ``1.98MB``, ``5 minutes``."""

from __future__ import annotations

_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")
# Below so many hours a time is told in a unit of so many hours.
_UNITS = ((48, 1, "hours"), (14 * 24, 24, "days"), (60 * 24, 7 * 24, "weeks"), (2 * 365 * 24, 30 * 24, "months"))


def size(size_bytes: float, digits: int = 4) -> str:
    """A size in powers of 1000 with so many digits: ``1.983MB``, with three of them ``1.98MB``."""
    unit = 0
    while float(f"{size_bytes:.{digits}g}") >= 1000 and unit < len(_SIZES) - 1:
        size_bytes /= 1000
        unit += 1
    return f"{size_bytes:.{digits}g}{_SIZES[unit]}"


def duration(seconds: float) -> str:
    """A time in one unit: ``5 seconds``, ``About an hour``, ``3 weeks``."""
    whole, hours = max(0, int(seconds)), int(seconds / 3600 + 0.5)
    if whole < 60:
        return ("Less than a second", "1 second")[whole] if whole < 2 else f"{whole} seconds"
    if whole < 3600:
        return "About a minute" if whole < 120 else f"{whole // 60} minutes"
    if hours == 1:
        return "About an hour"
    for below, length, unit in _UNITS:
        if hours < below:
            return f"{hours // length} {unit}"
    return f"{whole // 3600 // 24 // 365} years"
