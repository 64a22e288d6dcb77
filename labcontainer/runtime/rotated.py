"""A file of lines that grows and is put away when it is full: ``log``, ``log.1``, ``log.2``, the newest first.

One writer renames, whoever reads may be anywhere in it:

    log.2   log.1   log         log is full          log.2   log.1   log
    [ old ] [ … ▲ ] [ … ]     ─────────────►         [ … ▲ ] [ … ]   [ ]        ▲ the reader's descriptor moves along

A reader knows its file by the inode, not by the name. Once another file has its place under the first name, nothing is
written to it any more: the reader takes the rest and goes on with the next newer one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_BLOCK_BYTES = 1 << 16


class Cursor:
    """A place between two lines. Closing it is the caller's: ``with Cursor(path) as cursor``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = _open_all(path)  # what is still to be read, the oldest first

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *exception: object) -> None:
        for file in self._files:
            file.close()

    def lines(self) -> Iterator[bytes]:
        """Every whole line from here to the end that is there now. A line that is still being written is left."""
        while self._arrive():
            # Asked before the read: what is read after a rotation is all that the file will ever have.
            final = len(self._files) > 1 or not _is(self._files[0], self._path)
            yield from _whole_lines(self._files[0])
            if not final or not self._advance():
                return

    def skip_files_before(self, mtime_ns: int) -> None:
        """Go to the first file that was written to at `mtime_ns` or later."""
        while len(self._files) > 1 and os.fstat(self._files[0].fileno()).st_mtime_ns < mtime_ns:
            self._files.pop(0).close()

    def backwards(self) -> Iterator[tuple[BinaryIO, int, bytes]]:
        """(file, offset, line) from the last whole line to the first; then `go_to`, or go on from the beginning."""
        for file in reversed(self._files):
            for offset, line in _lines_backwards(file):
                yield file, offset, line

    def go_to(self, file: BinaryIO, offset: int) -> None:
        """Continue at a place that `backwards` has told of."""
        while self._files[0] is not file:
            self._files.pop(0).close()
        file.seek(offset)

    def _arrive(self) -> bool:
        """Whether there is a file to read: before the first output there is none."""
        if not self._files:
            self._files = _open_all(self._path)
        return bool(self._files)

    def _advance(self) -> bool:
        """Leave the first file; False where no newer one is there yet."""
        if len(self._files) == 1:
            here = self._files[0]
            found = _open_all(self._path)
            after = next((number for number, file in enumerate(found) if _same(file, here)), -1) + 1
            for file in found[:after]:
                file.close()
            if not found[after:]:
                return False
            self._files += found[after:]
        self._files.pop(0).close()
        return True


def _open_all(path: Path) -> list[BinaryIO]:
    """The files that are there, the oldest first, as they were at one moment."""
    while True:
        before = _inode(path)
        numbers = [int(n) for one in path.parent.glob(f"{path.name}.*") if (n := one.suffix[1:]).isdigit()]
        files: list[BinaryIO] = []
        for name in [*(f"{path.name}.{number}" for number in sorted(numbers, reverse=True)), path.name]:
            try:
                files.append(open(path.with_name(name), "rb"))  # noqa: SIM115  the cursor closes them
            except FileNotFoundError:
                continue
        # As long as the newest is the same, nothing was renamed: the open descriptor keeps its inode from being reused.
        if before == _inode(path) and (before is None or (files and _is(files[-1], path))):
            return files
        for file in files:
            file.close()


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _is(file: BinaryIO, path: Path) -> bool:
    status = os.fstat(file.fileno())
    return (status.st_dev, status.st_ino) == _inode(path)


def _same(one: BinaryIO, other: BinaryIO) -> bool:
    return os.path.samestat(os.fstat(one.fileno()), os.fstat(other.fileno()))


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    for line in iter(file.readline, b""):
        if not line.endswith(b"\n"):
            file.seek(-len(line), os.SEEK_CUR)
            return
        yield line


def _lines_backwards(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    place = file.seek(0, os.SEEK_END)
    rest = b""  # the beginning of what was read already: a line whose own beginning is further back
    while place:
        size = min(place, _BLOCK_BYTES)
        place -= size
        file.seek(place)
        head, *lines = (file.read(size) + rest).splitlines(keepends=True)
        end = place + len(head) + sum(map(len, lines))
        for line in reversed(lines):
            end -= len(line)
            if line.endswith(b"\n"):
                yield end, line
        rest = head
    if rest.endswith(b"\n"):
        yield 0, rest
    file.seek(0)
