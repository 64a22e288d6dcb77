"""Points in time as docker takes them: ``10m`` ago, ``2026-01-31T12:00``, 1767225600.5, or a datetime."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone

from labcontainer.errors import UsageError

When = str | int | float | datetime | None

_UNITS_NS = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
# Go's durations: 1h30m, 1.5h, -10s. See: https://pkg.go.dev/time#ParseDuration
_DURATION = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+")
_PART = re.compile(r"(\d+\.?\d*|\.\d+)([a-zµμ]+)")
_DATE = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)(T(?P<hour>\d\d)(:(?P<minute>\d\d)(:(?P<second>\d\d)(\.(?P<fraction>\d+))?)?)?)?"
    r"(?P<zone>[zZ]|[+-]\d\d:\d\d)?"
)


def nanoseconds(name: str, value: str | int | float | datetime, now_ns: int | None = None) -> int:
    """The time that `value` of the parameter `name` means, in nanoseconds since 1970.

    A duration is that long before `now_ns`. A time without a zone is this machine's.

    Raises: UsageError.
    """
    if isinstance(value, datetime):
        return int(value.timestamp()) * 10**9 + value.microsecond * 1000
    text = str(value)
    if text != "0" and _DURATION.fullmatch(text):
        return (time.time_ns() if now_ns is None else now_ns) - duration_ns(text)
    if match := _DATE.fullmatch(text):
        return _date_ns(name, text, match)
    whole, _, fraction = text.partition(".")
    if not re.fullmatch(r"-?\d+", whole) or not (fraction or "0").isdigit():
        raise UsageError(name, value, "give a time (2026-01-31T12:00:00, 1767225600) or how long ago (10m, 1h30m)")
    return int(whole) * 10**9 + int(fraction[:9].ljust(9, "0"))


def duration_ns(text: str) -> int:
    """Go's ``1h30m`` in nanoseconds; `text` must be a duration."""
    total = sum(float(number) * _UNITS_NS[unit] for number, unit in _PART.findall(text))
    return round(-total if text.startswith("-") else total)


def _date_ns(name: str, text: str, match: re.Match[str]) -> int:
    zone = match["zone"]
    clock = [int(match[part] or 0) for part in ("hour", "minute", "second")]
    try:
        day = datetime.fromisoformat(match["date"])
        moment = day.replace(hour=clock[0], minute=clock[1], second=clock[2], tzinfo=_zone(zone) if zone else None)
        seconds = int(moment.timestamp())
    except (ValueError, OverflowError) as error:
        raise UsageError(name, text, str(error)) from None
    return seconds * 10**9 + int((match["fraction"] or "0")[:9].ljust(9, "0"))


def _zone(text: str) -> timezone:
    if text in "zZ":
        return UTC
    hours, minutes = text[1:].split(":")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if text[0] == "-" else offset)
