"""Sizes and times in docker's words: ``1.98MB``, ``5 minutes``."""

from __future__ import annotations

_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")
_BINARY_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
# Below so many hours a time is told in a unit of so many hours.
_UNITS = ((48, 1, "hours"), (14 * 24, 24, "days"), (60 * 24, 7 * 24, "weeks"), (2 * 365 * 24, 30 * 24, "months"))


def size(size_bytes: float, digits: int = 4) -> str:
    """A size in powers of 1000 with so many digits: ``1.983MB``, with three of them ``1.98MB``."""
    return _scaled(size_bytes, digits, 1000, _SIZES)


def binary_size(size_bytes: float) -> str:
    """A size in powers of 1024, as memory is told: ``1.891MiB``."""
    return _scaled(size_bytes, 4, 1024, _BINARY_SIZES)


def _scaled(value: float, digits: int, base: int, units: tuple[str, ...]) -> str:
    unit = 0
    while float(f"{value:.{digits}g}") >= base and unit < len(units) - 1:
        value /= base
        unit += 1
    return f"{value:.{digits}g}{units[unit]}"


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
