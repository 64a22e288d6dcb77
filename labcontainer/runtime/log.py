"""A container's log as docker's json-file driver writes it: a JSON object for each line, in files that are rotated.

    {"log":"hello\\n","stream":"stdout","time":"2026-01-31T12:00:00.123456789Z"}      log.json, log.json.1, log.json.2

What is read is written at once, so a line that came in two pieces is two records, the first without a newline. Bytes
that are not UTF-8 are kept: they stand as lone surrogates (Python's surrogateescape), from which they come back.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from json.encoder import encode_basestring
from pathlib import Path

from labcontainer.errors import UsageError

NAME = "log.json"
_STREAMS = {1: "stdout", 2: "stderr"}
_BEGIN = b'{"log":"'
# Stands for a newline while text is encoded: surrogateescape never makes this one of bytes.
_NEWLINE = "\ud800"
# What JSON wants escaped, the backslash first: it is in the other escapes.
_ESCAPES = tuple(
    (bytes([byte]), encode_basestring(chr(byte))[1:-1].encode()) for byte in b'\\"' + bytes(range(32)) if byte != 10
)
_PLAIN = bytes(set(range(256)) - {byte for special, _ in _ESCAPES for byte in special})


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a log is put away, and how many files are kept. `max_size_bytes` None: it grows without end.

    Docker's default is that; ours keeps at most 30 MB for a container, because a student's disk is small.
    """

    max_size_bytes: int | None = 10_000_000
    max_files: int = 3

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Rotation:
        """What docker's ``max-size`` (10m, -1 for no end) and ``max-file`` ask for. Raises: UsageError."""
        if unknown := sorted(options.keys() - {"max-size", "max-file"}):
            raise UsageError("log option", unknown[0], "json-file has max-size and max-file")
        chosen = cls()
        if (size := options.get("max-size")) is not None:
            chosen = replace(chosen, max_size_bytes=None if size == "-1" else _size(size))
        if (files := options.get("max-file")) is not None:
            if not re.fullmatch(r"0*[1-9]\d{0,3}", str(files)):
                raise UsageError("max-file", files, "give a number of files, 1 at least")
            chosen = replace(chosen, max_files=int(files))
        return chosen


@dataclass(frozen=True, slots=True)
class Record:
    """What was written in one piece, to ``stdout`` or ``stderr``, and when (RFC 3339, UTC, nanoseconds).

    `data` is a line, or a piece of one that has no newline. `dropped_bytes` went missing just before.
    """

    stream: str
    data: bytes
    time: str
    dropped_bytes: int = 0


class Log:
    """A log being written. Its file appears with the first output; one that is there is continued.

    It never raises: on a full disk output is dropped, which stderr is told once. When there is room again, a record
    without output says how many bytes are missing: ``{"log":"",…,"attrs":{"dropped":"4096"}}``.
    """

    def __init__(self, path: Path, rotation: Rotation | None = None) -> None:
        self._path = path
        self._rotation = rotation or Rotation()
        self._fd: int | None = None
        self._size = 0
        self._dropped_bytes = 0

    def write(self, stream: int, data: bytes) -> None:
        """Append `data` of stream 1 or 2, unbuffered, so that a reader sees it at once."""
        now = timestamp(time.time_ns())
        records = encode(_STREAMS[stream], data, now)
        if self._dropped_bytes:
            records = _gap(self._dropped_bytes, now) + records
        if left := self._append(records):
            lost = [parse(line) for line in left.splitlines()]
            self._dropped_bytes = sum(len(record.data) + record.dropped_bytes for record in lost if record)

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _append(self, records: bytes) -> bytes:
        """Write whole records; returns those for which there was no room."""
        try:
            if self._fd is None:
                self._open()
            while records:
                assert self._fd is not None
                piece = self._fitting(records)
                written = os.write(self._fd, piece)
                if written < len(piece):
                    os.ftruncate(self._fd, self._size)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._size += written
                records = records[written:]
        except OSError as error:
            if not self._dropped_bytes:
                print(f"{self._path}: output is dropped: {error.strerror}", file=sys.stderr, flush=True)  # noqa: T201
        return records

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._fd).st_size
        if self._size and os.pread(self._fd, 1, self._size - 1) != b"\n":
            self._size += os.write(self._fd, b"\n")  # a killed monitor left half a record: it must not spoil ours

    def _fitting(self, records: bytes) -> bytes:
        """As many whole records as the file may still take, after a rotation if need be; one at least."""
        most = self._rotation.max_size_bytes
        if most is None or self._size + len(records) <= most:
            return records
        end = records.rfind(b"\n", 0, max(0, most - self._size)) + 1
        if not end and self._size:
            self._rotate()
            return self._fitting(records)
        return records[: end or records.index(b"\n") + 1]

    def _rotate(self) -> None:
        self.close()
        files = [self._path, *(rotated(self._path, number) for number in range(1, self._rotation.max_files))]
        # Removed, not replaced: ext4 begins to write out what is renamed onto another file, and a log that is rotated
        # ten times a second would go at the disk's speed.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(files[-1])
        for older, newer in zip(files[:0:-1], files[-2::-1], strict=True):
            with contextlib.suppress(FileNotFoundError):
                os.rename(newer, older)
        self._open()


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmgt]?)b?", str(text).lower())
    size = int(float(match[1]) * 1000 ** " kmgt".index(match[2] or " ")) if match else 0
    if size <= 0:
        raise UsageError("max-size", text, "give bytes, or a number with k, m or g: 10m")
    return size


def rotated(path: Path, number: int) -> Path:
    """The file that was put away `number` rotations ago."""
    return path.with_name(f"{path.name}.{number}")


def encode(stream: str, data: bytes, time: str) -> bytes:
    """`data` as records, one for each line.

    Everything is done to the piece as a whole, and to bytes: a loop over its lines, or a detour through text, would
    make the log slower than the container.
    """
    end = f'","stream":"{stream}","time":"{time}"}}\n'.encode()
    ends = data.endswith(b"\n")
    pieces = _BEGIN + _escaped(data[:-1] if ends else data)
    return pieces.replace(b"\n", b"\\n" + end + _BEGIN) + (b"\\n" + end if ends else end)


def _escaped(data: bytes) -> bytes:
    """`data` as the inside of a JSON text, its newlines as they are. See: RFC 8259 section 7"""
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError:
            # JSON's \udc80 for a byte that is not UTF-8 is what this error handler makes of its surrogate.
            text = encode_basestring(data.decode(errors="surrogateescape").replace("\n", _NEWLINE))[1:-1]
            return text.replace(_NEWLINE, "\n").encode(errors="backslashreplace")
    if data.translate(None, _PLAIN):
        for byte, escape in _ESCAPES:
            data = data.replace(byte, escape)
    return data


def parse(line: bytes) -> Record | None:
    """The record that `line` is; None where it is none (a killed monitor has left half of one)."""
    try:
        fields = json.loads(line)
        dropped = int(fields["attrs"]["dropped"]) if "attrs" in fields else 0
        return Record(fields["stream"], fields["log"].encode(errors="surrogateescape"), fields["time"], dropped)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _gap(size_bytes: int, now: str) -> bytes:
    record = {"log": "", "stream": "stderr", "time": now, "attrs": {"dropped": str(size_bytes)}}
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def timestamp(ns: int) -> str:
    """Nanoseconds since 1970 as RFC 3339 in UTC."""
    seconds, rest = divmod(ns, 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"
