"""A container's log: docker's json-file format, a JSON object a line.

    {"log":"hello\\n","stream":"stdout","time":"2026-01-31T12:00:00.123456789Z"}

Bytes that are not UTF-8 are kept: they stand as lone surrogates (Python's surrogateescape), which `read` turns back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_NAMES = {1: "stdout", 2: "stderr"}


@dataclass(frozen=True, slots=True)
class Record:
    """What was written in one piece: to ``stdout`` or ``stderr``, and when (RFC 3339, UTC, nanoseconds)."""

    stream: str
    data: bytes
    time: str


class Log:
    """A log being written; its file appears with the first output."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def write(self, stream: int, data: bytes) -> None:
        """Append `data` of stream 1 or 2, unbuffered, so that a reader sees it at once."""
        if self._file is None:
            self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115  closed by close()
        text = data.decode(errors="surrogateescape")
        record = {"log": text, "stream": _NAMES[stream], "time": timestamp(time.time_ns())}
        self._file.write(json.dumps(record).encode() + b"\n")

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()


def read(path: Path) -> Iterator[Record]:
    """The records of a log, oldest first; nothing where no log is. A line that is still being written is left out."""
    if not path.exists():
        return
    with open(path, "rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                fields = json.loads(line)
                data = fields["log"].encode(errors="surrogateescape")
                yield Record(fields["stream"], data, fields["time"])


def timestamp(ns: int) -> str:
    """Nanoseconds since 1970 as RFC 3339 in UTC."""
    seconds, rest = divmod(ns, 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"
