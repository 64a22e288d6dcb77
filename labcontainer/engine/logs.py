"""``container.logs()``: what a container has written, and what it writes."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path

from labcontainer.engine import record
from labcontainer.engine.stream import Stream
from labcontainer.engine.when import When, nanoseconds
from labcontainer.errors import NotFound, SpecError, UsageError
from labcontainer.runtime import log_reader, state
from labcontainer.runtime.changes import Changes
from labcontainer.runtime.life import Status
from labcontainer.runtime.log import Record
from labcontainer.runtime.log_reader import Selection


def records(directory: Path, selection: Selection, *, follow: bool) -> Stream[Record]:
    """The records of the container in `directory`; with `follow` those to come, too, until it has ended.

    Raises: NotFound (it was made without a log).
    """
    if record.read_request(directory).log is None:
        raise NotFound("log", directory.name[:12], "the container was made with --log-driver none")
    changes = Changes(directory)
    if follow:
        return Stream(log_reader.follow(directory, selection, changes, ended=lambda: _ended(directory)), changes)
    return Stream(log_reader.read(directory, selection), changes)


def selection(*, stdout: bool, stderr: bool, tail: int | str, since: When, until: When) -> Selection:
    """What docker-py's arguments ask for. Raises: UsageError."""
    streams = frozenset(name for name, wanted in (("stdout", stdout), ("stderr", stderr)) if wanted)
    if not streams:
        raise UsageError("logs", "neither stdout nor stderr", "choose at least one of them")
    return Selection(
        streams,
        _lines(tail),
        0 if since is None else nanoseconds("since", since),
        None if until is None else nanoseconds("until", until),
    )


def pieces(found: Iterable[Record], *, timestamps: bool) -> Generator[tuple[str, bytes], None, None]:
    """(stream, bytes) of each record; with `timestamps` every line, though not every piece of one, begins with its
    time."""
    within: set[str] = set()  # streams that are in the middle of a line
    for each in found:
        stamped = timestamps and each.data and each.stream not in within
        yield each.stream, f"{each.time} ".encode() + each.data if stamped else each.data
        if each.data.endswith(b"\n"):
            within.discard(each.stream)
        elif each.data:
            within.add(each.stream)


def _lines(tail: int | str) -> int | None:
    if tail == "all":
        return None
    try:
        number = int(tail)
    except ValueError:
        raise UsageError("tail", tail, "give a number of lines, or all") from None
    return None if number < 0 else number


def _ended(directory: Path) -> bool:
    try:
        now = state.observe(directory)
    except NotFound:
        return True
    except SpecError:
        return False  # it is just being written
    return now.status is Status.STOPPED or (now.status is Status.CREATED and now.monitor is None)
