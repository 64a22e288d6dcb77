"""A log, written and read: every byte, every line its own record, rotated, cut, full, followed."""

from __future__ import annotations

import itertools
import json
import resource
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainer.errors import UsageError
from labcontainer.runtime import log, log_reader
from labcontainer.runtime.changes import Changes
from labcontainer.runtime.log import Log, Record, Rotation
from labcontainer.runtime.log_reader import Selection

NOW = "2026-01-31T12:00:00.123456789Z"
EVERYTHING = Selection()


def written(directory: Path, *pieces: tuple[int, bytes], rotation: Rotation | None = None) -> Path:
    target = Log(directory / log.NAME, rotation)
    for stream, data in pieces:
        target.write(stream, data)
    target.close()
    return directory


def read(directory: Path, selection: Selection = EVERYTHING) -> list[tuple[str, bytes]]:
    return [(record.stream, record.data) for record in log_reader.read(directory, selection)]


def text(directory: Path, selection: Selection = EVERYTHING) -> bytes:
    return b"".join(data for _, data in read(directory, selection))


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_line_is_a_record_in_dockers_words() -> None:
    assert log.encode("stdout", b"one\ntwo", NOW) == (
        b'{"log":"one\\n","stream":"stdout","time":"2026-01-31T12:00:00.123456789Z"}\n'
        b'{"log":"two","stream":"stdout","time":"2026-01-31T12:00:00.123456789Z"}\n'
    )


@given(
    st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([b"\n", b"\\n", b'"', b"\xed\xa0\x80", "é😀".encode()])))
)
def test_every_byte_comes_back_line_by_line(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    records = [log.parse(line) for line in log.encode("stderr", data, NOW).split(b"\n")[:-1]]
    lines = data.split(b"\n")
    expected = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] or data == b"" else [])
    assert records == [Record("stderr", line, NOW) for line in expected]


def test_every_control_character_is_escaped_as_json_does_it() -> None:
    data = bytes(range(128)).replace(b"\n", b"") + "é".encode()
    text = json.loads(log.encode("stdout", data, NOW))["log"]
    assert text == data.decode()
    # A byte that is not UTF-8 goes another way, on which the same must come out.
    assert json.loads(log.encode("stdout", data + b"\xff", NOW))["log"] == text + "\udcff"


def test_text_stands_in_the_file_as_it_is_and_other_bytes_as_what_json_has_for_them() -> None:
    record = log.encode("stdout", "naïve ".encode() + b"\xff\n", NOW)
    assert "naïve \\udcff\\n".encode() in record
    assert json.loads(record)["log"] == "naïve \udcff\n"


def test_a_log_keeps_both_streams_in_order(tmp_path: Path) -> None:
    written(tmp_path, (1, b"a\nb\n"), (2, b"c\n"), (1, b"d"))
    assert read(tmp_path) == [("stdout", b"a\n"), ("stdout", b"b\n"), ("stderr", b"c\n"), ("stdout", b"d")]
    assert read(tmp_path, Selection(frozenset({"stderr"}))) == [("stderr", b"c\n")]


def test_without_output_there_is_no_file(tmp_path: Path) -> None:
    assert (files(written(tmp_path)), read(tmp_path)) == ([], [])


def test_a_full_file_is_put_away_and_the_oldest_goes(tmp_path: Path) -> None:
    written(tmp_path, *((1, b"%04d\n" % number) for number in range(100)), rotation=Rotation(800, 3))
    assert files(tmp_path) == ["log.json", "log.json.1", "log.json.2"]
    assert all(path.stat().st_size <= 800 for path in tmp_path.iterdir())
    lines = text(tmp_path).split()
    assert lines == [b"%04d" % number for number in range(100 - len(lines), 100)]
    assert len(lines) > 20


def test_one_file_may_be_all_that_is_kept(tmp_path: Path) -> None:
    written(tmp_path, *((1, b"%04d\n" % number) for number in range(50)), rotation=Rotation(400, 1))
    assert files(tmp_path) == ["log.json"]
    assert text(tmp_path).endswith(b"0049\n")


def test_a_piece_of_many_lines_is_spread_over_the_files(tmp_path: Path) -> None:
    written(tmp_path, (1, b"".join(b"%04d\n" % number for number in range(30))), rotation=Rotation(800, 100))
    assert len(files(tmp_path)) > 2
    assert text(tmp_path).split() == [b"%04d" % number for number in range(30)]


def test_a_record_that_is_larger_than_a_file_is_kept_whole(tmp_path: Path) -> None:
    written(tmp_path, (1, b"small\n"), (1, b"x" * 5000 + b"\n"), (1, b"small\n"), rotation=Rotation(400, 5))
    assert text(tmp_path) == b"small\n" + b"x" * 5000 + b"\nsmall\n"


def test_a_log_is_continued_and_half_a_record_of_a_killed_monitor_spoils_nothing(tmp_path: Path) -> None:
    written(tmp_path, (1, b"before\n"))
    with open(tmp_path / log.NAME, "ab") as file:
        file.write(b'{"log":"cut sho')
    assert text(tmp_path) == b"before\n"
    written(tmp_path, (1, b"after\n"))
    assert text(tmp_path) == b"before\nafter\n"


def test_a_full_disk_drops_output_says_so_once_and_writing_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = Log(tmp_path / log.NAME)
    target.write(1, b"first\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A limit on the size of files is a disk that is full for us alone: a write is cut short, the next one refused.
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / log.NAME).stat().st_size + 100, hard))
    try:
        target.write(1, b"second\nthird\n")
        target.write(2, b"fourth\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    target.write(1, b"fifth\n")
    target.close()
    assert text(tmp_path) == b"first\nfifth\n"
    assert [record.dropped_bytes for record in log_reader.read(tmp_path, EVERYTHING)] == [0, 20, 0]
    assert capfd.readouterr().err.count("output is dropped") == 1


def test_a_tail_counts_lines_and_joins_the_pieces_of_one(tmp_path: Path) -> None:
    written(tmp_path, (1, b"a\nb\n"), (1, b"c1 "), (2, b"err\n"), (1, b"c2\n"), (1, b"d"))
    assert text(tmp_path, Selection(tail=0)) == b""
    assert text(tmp_path, Selection(tail=1)) == b"d"
    assert text(tmp_path, Selection(frozenset({"stdout"}), tail=2)) == b"c1 c2\nd"
    assert text(tmp_path, Selection(frozenset({"stdout"}), tail=3)) == b"b\nc1 c2\nd"
    assert text(tmp_path, Selection(tail=1000)) == text(tmp_path)


@pytest.mark.parametrize("tail", [1, 17, 199, 200, 201, 10_000])
def test_a_tail_reaches_over_rotated_files_and_blocks(tmp_path: Path, tail: int) -> None:
    lines = [b"%03d %s\n" % (number, b"x" * (number % 7 * 1000)) for number in range(200)]
    written(tmp_path, *((1, line) for line in lines), rotation=Rotation(200_000, 50))
    assert len(files(tmp_path)) > 2
    assert text(tmp_path, Selection(tail=tail)) == b"".join(lines[-tail:])


def test_since_and_until_choose_by_time(tmp_path: Path) -> None:
    moments = [10**18 + number * 10**9 for number in range(5)]
    (tmp_path / log.NAME).write_bytes(
        b"".join(log.encode("stdout", b"%d\n" % number, log.timestamp(ns)) for number, ns in enumerate(moments))
    )
    assert text(tmp_path, Selection(since_ns=moments[1], until_ns=moments[3])) == b"1\n2\n3\n"
    assert text(tmp_path, Selection(since_ns=moments[1], until_ns=moments[3], tail=1)) == b"3\n"


def test_following_crosses_rotations_and_ends_with_the_container(tmp_path: Path) -> None:
    target = Log(tmp_path / log.NAME, Rotation(50_000, 4))
    ended = threading.Event()

    def write() -> None:
        for number in range(2000):
            target.write(1, b"%d\n" % number)
            if number % 100 == 0:
                time.sleep(0.01)  # else the reader would be left behind by more than the files that are kept
        ended.set()

    writer = threading.Thread(target=write)
    followed = log_reader.follow(tmp_path, EVERYTHING, Changes(tmp_path), ended=ended.is_set)
    writer.start()
    seen = [int(record.data) for record in followed]
    writer.join()
    target.close()
    assert seen == list(range(2000))


def test_following_sleeps_until_something_is_written(tmp_path: Path) -> None:
    target = Log(tmp_path / log.NAME)
    target.write(1, b"one\n")
    looks = itertools.count()
    followed = log_reader.follow(tmp_path, EVERYTHING, Changes(tmp_path), ended=lambda: next(looks) < 0)
    assert next(followed).data == b"one\n"
    threading.Timer(0.3, target.write, (1, b"two\n")).start()
    assert next(followed).data == b"two\n"
    assert next(looks) < 20  # a busy loop looks thousands of times
    followed.close()
    target.close()


def test_another_thread_may_end_the_following(tmp_path: Path) -> None:
    changes = Changes(tmp_path)
    followed = log_reader.follow(tmp_path, EVERYTHING, changes, ended=lambda: False)
    threading.Timer(0.1, changes.cancel).start()
    assert list(followed) == []
    assert list(log_reader.follow(tmp_path, EVERYTHING, changes, ended=lambda: False)) == []


def test_following_ends_at_its_time(tmp_path: Path) -> None:
    written(tmp_path, (1, b"one\n"))
    selection = Selection(until_ns=time.time_ns() + 10**8)
    followed = log_reader.follow(tmp_path, selection, Changes(tmp_path), ended=lambda: False)
    assert [record.data for record in followed] == [b"one\n"]


def test_without_inotify_following_looks_now_and_then(tmp_path: Path) -> None:
    target = Log(tmp_path / log.NAME)
    changes = Changes(tmp_path / "never")  # a directory that cannot be watched
    followed = log_reader.follow(tmp_path, EVERYTHING, changes, ended=lambda: False)
    threading.Timer(0.1, target.write, (1, b"one\n")).start()
    assert next(followed).data == b"one\n"
    followed.close()
    target.close()


def test_a_time_is_written_to_the_nanosecond() -> None:
    assert log.timestamp(1_700_000_000_000_000_001) == "2023-11-14T22:13:20.000000001Z"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Rotation(10_000_000, 3)),
        ({"max-size": "1k"}, Rotation(1000, 3)),
        ({"max-size": "1.5MB", "max-file": "5"}, Rotation(1_500_000, 5)),
        ({"max-size": "-1"}, Rotation(None, 3)),
    ],
)
def test_dockers_options_say_when_a_log_is_put_away(options: dict[str, str], expected: Rotation) -> None:
    assert Rotation.of(options) == expected


@pytest.mark.parametrize(
    "options", [{"max-size": "0"}, {"max-size": "x"}, {"max-file": "0"}, {"max-file": "x"}, {"tag": ""}]
)
def test_other_options_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        Rotation.of(options)
