from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from labcontainer.engine.when import nanoseconds
from labcontainer.errors import UsageError

NOW = 1_800_000_000 * 10**9
NOON = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()) * 10**9


@pytest.fixture(autouse=True)
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "before_ns"),
    [("10m", 600 * 10**9), ("1h30m", 5400 * 10**9), ("1.5h", 5400 * 10**9), ("0s", 0), ("250ms", 25 * 10**7),
     ("-5s", -5 * 10**9), ("1µs", 1000)],
)  # fmt: skip
def test_a_duration_is_that_long_ago(text: str, before_ns: int) -> None:
    assert nanoseconds("since", text, NOW) == NOW - before_ns


@pytest.mark.parametrize(
    "text",
    ["2026-01-31T12:00:00Z", "2026-01-31T12:00Z", "2026-01-31T12Z", "2026-01-31T13:00:00+01:00",
     "2026-01-31T07:00:00.000-05:00", "2026-01-31T13:00:00", "2026-01-31T13", "1769860800", "1769860800.0",
     1769860800, 1769860800.0, datetime(2026, 1, 31, 12, tzinfo=UTC), datetime(2026, 1, 31, 13)],
)  # fmt: skip
def test_a_time_is_read_in_every_form_docker_takes(text: str | int | float | datetime) -> None:
    assert nanoseconds("since", text, NOW) == NOON


def test_a_day_begins_at_its_midnight_and_nanoseconds_are_kept() -> None:
    assert nanoseconds("since", "2026-01-31", NOW) == NOON - 13 * 3600 * 10**9
    assert nanoseconds("since", "2026-01-31T12:00:00.123456789Z", NOW) == NOON + 123456789
    assert nanoseconds("since", "1769860800.000000001", NOW) == NOON + 1


@pytest.mark.parametrize("text", ["", "foo", "2026-13-01", "2026-01-31T99", "10x", "1.2.3", "m"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="since"):
        nanoseconds("since", text, NOW)
