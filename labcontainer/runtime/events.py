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
import os
import time
from collections.abc import Mapping
from pathlib import Path

NAME = "events"
_MOST_BYTES = 1 << 20  # about 4000 events a file


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
