"""Reading a container's log while it may be written: from the beginning or near the end, once or on and on.

>>> selection = Selection(tail=10, since="2026-01-31T12:00:00.000000000Z")
>>> for record in read(directory, selection): ...
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from labcontainer.runtime import log
from labcontainer.runtime.changes import Changes
from labcontainer.runtime.log import Record
from labcontainer.runtime.rotated import Cursor

# A container whose monitor was killed ends without touching its directory: somebody has to look.
_LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records are wanted. Times are nanoseconds since 1970; `tail` counts lines of the output, None: all."""

    streams: frozenset[str] = frozenset({"stdout", "stderr"})
    tail: int | None = None
    since_ns: int = 0
    until_ns: int | None = None


def read(directory: Path, selection: Selection) -> Generator[Record, None, None]:
    """What is in the log of the container in `directory`, the oldest first; nothing where no log is."""
    with Cursor(directory / log.NAME) as cursor:
        wanted = _filter(selection)
        _find_start(cursor, selection, wanted)
        yield from _selected(cursor, wanted)


def follow(
    directory: Path, selection: Selection, changes: Changes, *, ended: Callable[[], bool]
) -> Generator[Record, None, None]:
    """`read`, and then what is added: until the container has `ended`, its time has come, or `changes` is cancelled."""
    with changes, Cursor(directory / log.NAME) as cursor:
        wanted = _filter(selection)
        _find_start(cursor, selection, wanted)
        while not changes.cancelled:
            # Both asked before the read: what is read after the end is all that there will be.
            left_s = _left_s(selection)
            over = left_s <= 0 or ended()
            yield from _selected(cursor, wanted)
            if over:
                return
            changes.wait(min(left_s, _LOOK_EVERY_S))


def _filter(selection: Selection) -> Callable[[bytes], Record | None]:
    since = log.timestamp(selection.since_ns)
    until = None if selection.until_ns is None else log.timestamp(selection.until_ns)

    def wanted(line: bytes) -> Record | None:
        record = log.parse(line)
        # Times are compared as text: all have the same length.
        if record is None or record.stream not in selection.streams or record.time < since:
            return None
        return None if until is not None and record.time > until else record

    return wanted


def _selected(cursor: Cursor, wanted: Callable[[bytes], Record | None]) -> Iterator[Record]:
    return (record for line in cursor.lines() if (record := wanted(line)))


def _find_start(cursor: Cursor, selection: Selection, wanted: Callable[[bytes], Record | None]) -> None:
    cursor.skip_files_before(selection.since_ns)
    if selection.tail is None:
        return
    lines = 0
    seen: set[str] = set()  # streams of which a piece was seen: an earlier one without a newline belongs to its line
    start = None
    for file, offset, line in cursor.backwards():
        start = start or (file, offset + len(line))
        record = wanted(line)
        if record is None:
            continue
        if record.data.endswith(b"\n") or record.stream not in seen:
            lines += 1
            seen.add(record.stream)
        if lines > selection.tail:
            break
        start = file, offset
    if start is not None:
        cursor.go_to(*start)


def _left_s(selection: Selection) -> float:
    if selection.until_ns is None:
        return math.inf
    return (selection.until_ns - time.time_ns()) / 1e9
