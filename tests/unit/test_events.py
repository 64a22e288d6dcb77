from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from labcontainer.runtime import events


def written(root: Path) -> list[dict[str, Any]]:
    files = [path for path in (root / "events.1", root / "events") if path.exists()]
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def test_an_event_has_dockers_shape(tmp_path: Path) -> None:
    events.record(tmp_path, "die", "4f5c", {"name": "pet", "exitCode": "0"})
    [event] = written(tmp_path)
    assert event.pop("time") == event.pop("timeNano") // 10**9
    assert event == {
        "Type": "container", "Action": "die", "scope": "local",
        "Actor": {"ID": "4f5c", "Attributes": {"exitCode": "0", "name": "pet"}},
    }  # fmt: skip


def test_a_full_file_is_put_away_and_no_event_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_MOST_BYTES", 4000)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: events.record(tmp_path, "start", str(number)), range(40)))
    assert sorted(int(event["Actor"]["ID"]) for event in written(tmp_path)) == list(range(40))
    times = [event["timeNano"] for event in written(tmp_path)]
    assert times == sorted(times)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events", "events.1"]


def test_half_a_line_of_a_killed_writer_does_not_swallow_the_next_event(tmp_path: Path) -> None:
    tmp_path.joinpath("events").write_text('{"Type":"conta')
    events.record(tmp_path, "start", "4f5c")
    assert json.loads(tmp_path.joinpath("events").read_text().splitlines()[1])["Action"] == "start"


def test_what_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    events.record(tmp_path / "gone", "start", "4f5c")
    os.symlink("/dev/full", tmp_path / "events")
    events.record(tmp_path, "start", "4f5c")
