"""What has happened to the containers of one engine root: an append-only file, a JSON object a line, in docker's shape.

    {"Type":"container","Action":"die","Actor":{"ID":"4f5c…","Attributes":{"exitCode":"0","image":"lab/base"}},
     "scope":"local","time":1767225600,"timeNano":1767225600123456789}

There is no daemon through which all must pass, so every process that does something (an engine, a monitor) writes it
down itself. A file that has grown to its limit becomes ``events.1``, in place of an older one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from labcontainer.runtime.changes import Changes
from labcontainer.runtime.rotated import Cursor

NAME = "events"
_MOST_BYTES = 1 << 20  # about 4000 events a file
_LOOK_EVERY_S = 60.0  # if nobody tells of a change


def record(
    root: Path, action: str, id: str, attributes: Mapping[str, str] | None = None, *, type: str = "container"
) -> None:
    """Write down that `action` (``start``, ``die``, ``exec_create: sh``) happened to the container `id`, now.

    The attributes are docker's: image, name, the labels (see `attributes`), exitCode, signal. Whoever reports goes on,
    whatever happens here: an event that cannot be written (a full disk) is lost.
    """
    actor: dict[str, object] = {"ID": id, "Attributes": dict(sorted((attributes or {}).items()))}
    event: dict[str, object] = {"Type": type, "Action": action, "Actor": actor, "scope": "local"}
    with contextlib.suppress(OSError):
        fd = _locked(root / NAME)
        try:
            _append(fd, event)
            if os.fstat(fd).st_size >= _MOST_BYTES:
                os.rename(root / NAME, root / f"{NAME}.1")
        finally:
            os.close(fd)


def attributes(directory: Path) -> dict[str, str]:
    """What every event of the container in `directory` carries: its image, its name and its labels."""
    try:
        asked = json.loads((directory / "container.json").read_text())
        return {**asked["labels"], "image": asked["image"], "name": asked["name"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # it was never whole: its id must do


def follow(
    root: Path, changes: Changes, *, since_ns: int = 0, until_ns: int | None = None
) -> Generator[dict[str, Any], None, None]:
    """The events from `since_ns` on, the oldest first, and then those to come; until `until_ns`, or `changes` is
    cancelled. `changes` are those of `root`. Times are nanoseconds since 1970."""
    last = math.inf if until_ns is None else until_ns
    with changes, Cursor(root / NAME) as cursor:
        cursor.skip_files_before(since_ns)
        while not changes.cancelled:
            left_s = (last - time.time_ns()) / 1e9
            for line in cursor.lines():
                event = _parse(line)
                if event and since_ns <= event["timeNano"] <= last:
                    yield event
            if left_s <= 0:
                return
            changes.wait(min(left_s, _LOOK_EVERY_S))


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None  # a killed process has left half a line
    return event if isinstance(event, dict) and isinstance(event.get("timeNano"), int) else None


def _locked(path: Path) -> int:
    """The file, locked for us alone, and still the one of that name. See: man 2 flock"""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            # While we waited for the lock its holder may have put the file away.
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _append(fd: int, event: dict[str, object]) -> None:
    now = time.time_ns()  # asked for under the lock: the file's order is the order in time
    line = json.dumps({**event, "time": now // 10**9, "timeNano": now}, separators=(",", ":")).encode() + b"\n"
    size = os.fstat(fd).st_size
    if size and os.pread(fd, 1, size - 1) != b"\n":
        line = b"\n" + line  # a killed process left half a line: ours must not be lost with it
    if os.write(fd, line) < len(line):
        os.ftruncate(fd, size)  # the disk is full
