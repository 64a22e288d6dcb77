from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from labcontainer.engine import events as engine_events
from labcontainer.runtime import events
from labcontainer.runtime.changes import Changes


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


def follow(root: Path, **times: int) -> list[str]:
    found = events.follow(root, Changes(root), until_ns=times.pop("until_ns", time.time_ns()), **times)
    return [event["Actor"]["ID"] for event in found]


def test_events_are_read_between_two_times(tmp_path: Path) -> None:
    for number in range(4):
        events.record(tmp_path, "start", str(number))
    times = [event["timeNano"] for event in written(tmp_path)]
    assert follow(tmp_path) == ["0", "1", "2", "3"]
    assert follow(tmp_path, since_ns=times[1], until_ns=times[2]) == ["1", "2"]


def test_a_follower_loses_no_event_when_files_are_put_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_MOST_BYTES", 3000)
    found = events.follow(tmp_path, Changes(tmp_path))
    events.record(tmp_path, "start", "0")
    seen = [next(found)["Actor"]["ID"]]
    for number in range(1, 100):
        events.record(tmp_path, "start", str(number))
        seen.append(next(found)["Actor"]["ID"])
    found.close()
    assert seen == [str(number) for number in range(100)]


def test_what_is_not_json_is_passed_over(tmp_path: Path) -> None:
    tmp_path.joinpath("events").write_text('{"Type":"conta\n[]\n')
    events.record(tmp_path, "start", "0")
    assert follow(tmp_path) == ["0"]


def test_the_stream_of_an_engine_is_closed_by_another_thread(tmp_path: Path) -> None:
    stream = engine_events.stream(tmp_path, None, None, None, decode=True)
    threading.Timer(0.1, stream.close).start()
    assert list(stream) == []


def test_the_stream_begins_when_it_is_asked_for(tmp_path: Path) -> None:
    events.record(tmp_path, "start", "before")
    with engine_events.stream(tmp_path, None, None, {"event": "start"}, decode=False) as stream:
        events.record(tmp_path, "create", "other")
        events.record(tmp_path, "start", "after")
        assert json.loads(next(stream))["Actor"]["ID"] == "after"
