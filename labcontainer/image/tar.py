"""Reading a tar archive as it streams by: one pass, memory that does not grow with the archive.

    >>> for entry in Reader(file):
    ...     print(entry.name, entry.size)

An archive is a row of blocks of 512 bytes: a header, then the entry's content, filled up with zeros; two blocks of
zeros end it. What a header of 1988 has no room for (long names, times in nanoseconds, extended attributes, holes)
stands in entries of their own before it:

    x   pax records, "27 mtime=1700000000.123456\\n": for the next entry; g: for all that follow
    L K a long name, a long link target, as GNU tar writes them
    S   a sparse file as GNU tar wrote them first; pax has its own three ways (GNU.sparse 0.0, 0.1 and 1.0)

The standard library's tarfile reads all this, too, but does more for each entry than a layer of ten thousands needs.
Every field is somebody else's and checked. Left out: archives of several volumes, names of users and groups.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from labcontainer.errors import SpecError, UnsafeLayer
from labcontainer.image import sparse

BLOCK = 512
FILE, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_FILES = (FILE, b"\0", b"7")
_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK, _GNU_SPARSE = b"x", b"g", b"L", b"K", b"S"
_XATTR = "SCHILY.xattr."
# Go's archive/tar, and so docker, reads no longer one.
_LONGEST_EXTENSION_BYTES = 1 << 20
_NUMBER = re.compile(r"(-?)(\d{1,20})(?:\.(\d{0,40}))?")
_ZEROS = bytes(BLOCK)


class Source(Protocol):
    """What an archive is read from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


@dataclass(slots=True)
class Entry:
    """One entry. ``mode`` is permission bits alone; ``pieces`` is where a sparse file's content goes, (offset, length).

    ``name`` and ``link`` are as the archive has them; what is not UTF-8 in them is kept (PEP 383).
    """

    name: str
    type: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    link: str = ""
    major: int = 0
    minor: int = 0
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    pieces: tuple[tuple[int, int], ...] | None = None

    @property
    def is_directory(self) -> bool:
        """Whether it is one."""
        return self.type == DIRECTORY

    @property
    def is_file(self) -> bool:
        """Whether it has content."""
        return self.type == FILE


class Reader:
    """The entries of an archive in order. An entry's `content` is to be had until the next entry is asked for."""

    def __init__(self, source: Source, *, chunk_bytes: int = 1 << 20) -> None:
        self._source = source
        self._chunk_bytes = chunk_bytes
        self._data = b""
        self._at = 0
        self._left = 0  # of the entry's stored content
        self._padding = 0
        self._global: dict[str, bytes] = {}
        self._last = ""

    def __iter__(self) -> Iterator[Entry]:
        while (entry := self._next()) is not None:
            self._last = entry.name
            yield entry

    def content(self) -> Iterator[bytes]:
        """The stored content of the entry, piece by piece; of a sparse file, its pieces in a row.

        Raises: UnsafeLayer (the archive ends in the middle of it).
        """
        while self._left:
            if self._at >= len(self._data) and not self._fill():
                raise self._broken(f"the archive ends {self._left} bytes before the entry's content does")
            end = min(self._at + self._left, len(self._data))
            whole = self._at == 0 and end == len(self._data)
            piece = self._data if whole else self._data[self._at : end]
            self._left -= end - self._at
            self._at = end
            yield piece

    def finish(self) -> None:
        """Read what follows the archive's end, which is nothing, or zeros. Raises: UnsafeLayer."""
        while True:
            rest = self._data[self._at :]
            if rest.count(0) != len(rest):
                raise self._broken("data follow the end of the archive")
            self._at = len(self._data)
            if not self._fill():
                return

    def _next(self) -> Entry | None:
        records: dict[str, bytes] = {}
        long: dict[bytes, str] = {}
        while True:
            for _ in self.content():
                pass
            if self._padding and not self._take(self._padding):
                raise self._broken("the archive ends in the middle of a block")
            self._padding = 0
            header = self._header()
            if header is None:
                if records or long:
                    raise self._broken("the archive ends where another entry was announced")
                return None
            type = header[156:157]
            if type in (_PAX, _PAX_GLOBAL):
                target = records if type == _PAX else self._global
                target.update(self._records(self._extension(header)))
            elif type in (_LONG_NAME, _LONG_LINK):
                long[type] = _text(self._extension(header).partition(b"\0")[0])
            else:
                return self._entry(header, type, {**self._global, **records} if self._global else records, long)

    def _header(self) -> bytes | None:
        """The next header; None at the archive's end, which two blocks of zeros mark, or nothing at all."""
        header = self._take(BLOCK)
        if not header or header == _ZEROS:
            return None
        try:
            stored = _number(header[148:156], "its checksum")
        except SpecError as error:
            raise self._broken(f"what should be a header is none: {error}") from None
        # The checksum counts its own eight bytes as spaces.
        computed = sum(header) - sum(header[148:156]) + 8 * 32
        if stored not in (computed, computed - 256 * _negative(header)):
            raise self._broken(f"a header's checksum is {computed}, but it says {stored}")
        return header

    def _entry(self, header: bytes, type: bytes, records: dict[str, bytes], long: dict[bytes, str]) -> Entry:
        name = long.get(_LONG_NAME) or _name(header)
        try:
            size = _number(header[124:136], "its size") if "size" not in records else _decimal(records, "size")
            entry = Entry(
                name=_text(records["path"]) if "path" in records else name,
                type=FILE if type in _FILES or type == _GNU_SPARSE else type,
                mode=stat.S_IMODE(_number(header[100:108], "its mode")),
                uid=_number(header[108:116], "its uid") if "uid" not in records else _decimal(records, "uid"),
                gid=_number(header[116:124], "its gid") if "gid" not in records else _decimal(records, "gid"),
                size=size,
                mtime_ns=_time(header, records),
            )
            if entry.size < 0 or not 0 <= entry.uid < 1 << 32 or not 0 <= entry.gid < 1 << 32:
                raise SpecError(f"its size, uid or gid is out of range: {entry.size}, {entry.uid}, {entry.gid}")
            self._details(entry, header, type, records, long)
        except SpecError as error:
            raise error if isinstance(error, UnsafeLayer) else UnsafeLayer(name, str(error)) from None
        return entry

    def _details(
        self, entry: Entry, header: bytes, type: bytes, records: dict[str, bytes], long: dict[bytes, str]
    ) -> None:
        if type == b"\0" and entry.name.endswith("/"):  # so did tar before 1988
            entry.type = DIRECTORY
        if entry.type in (HARD_LINK, SYMLINK):
            link = long.get(_LONG_LINK) or _text(header[157:257].partition(b"\0")[0])
            entry.link = _text(records["linkpath"]) if "linkpath" in records else link
        elif entry.type in (CHARACTER, BLOCK_DEVICE):
            entry.major = _number(header[329:337], "its device number")
            entry.minor = _number(header[337:345], "its device number")
        # Only files have content; what a link's or a directory's header says of a size is a leftover of its maker.
        stored = entry.size if entry.type not in (HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO) else 0
        self._left, self._padding = stored, -stored % BLOCK
        if records:
            entry.xattrs = {key.removeprefix(_XATTR): value for key, value in records.items() if key.startswith(_XATTR)}
        if type == _GNU_SPARSE:
            entry.size, entry.pieces = sparse.old_gnu(header, self._exactly)
        elif records and (found := sparse.pax(records, self._map)):
            name, entry.size, entry.pieces = found
            entry.name = name or entry.name
        if entry.pieces is not None and sum(length for _, length in entry.pieces) != self._left:
            raise SpecError("its map of holes and its stored content differ in length")

    def _map(self) -> bytes:
        """A block of the entry's own content, where GNU.sparse 1.0 keeps its map."""
        if self._left < BLOCK:
            raise SpecError("its map of holes is cut short")
        self._left -= BLOCK
        return self._exactly()

    def _exactly(self) -> bytes:
        block = self._take(BLOCK)
        if not block:
            raise SpecError("the archive ends in its header")
        return block

    def _extension(self, header: bytes) -> bytes:
        """The content of an entry that describes the one after it."""
        size = _number(header[124:136], "its size")
        if not 0 <= size <= _LONGEST_EXTENSION_BYTES:
            raise self._broken(f"an extended header of {size} bytes is more than any name needs")
        padded = self._take(size + -size % BLOCK)
        if size and not padded:
            raise self._broken("the archive ends in an extended header")
        return padded[:size]

    def _records(self, data: bytes) -> dict[str, bytes]:
        """The pax records of an extended header, ``<length> <key>=<value>\\n``. See: pax(1p), Extended Header"""
        found: dict[str, bytes] = {}
        at = 0
        while at < len(data):
            digits, space, _ = data[at : at + 21].partition(b" ")
            end = at + int(digits) if space and digits.isdigit() else 0
            key, equals, value = data[at + len(digits) + 1 : end - 1].partition(b"=")
            if not equals or not at < end <= len(data) or data[end - 1 : end] != b"\n":
                raise self._broken("an extended header is damaged")
            sparse.collect(found, _text(key), value)
            at = end
        return found

    def _take(self, size: int) -> bytes:
        """Exactly `size` bytes, or none at the end of the archive. Raises: UnsafeLayer (fewer)."""
        end = self._at + size
        if end <= len(self._data):
            taken, self._at = self._data[self._at : end], end
            return taken
        parts = [self._data[self._at :]]
        have, self._at = len(parts[0]), len(self._data)
        while have < size and self._fill():
            parts.append(self._data[: size - have])
            self._at = len(parts[-1])
            have += self._at
        if 0 < have < size:
            raise self._broken("the archive ends in the middle of a block")
        return b"".join(parts)

    def _fill(self) -> bool:
        self._data, self._at = self._source.read(self._chunk_bytes), 0
        return bool(self._data)

    def _broken(self, reason: str) -> SpecError:
        return (
            UnsafeLayer(self._last, f"after it {reason}") if self._last else SpecError(f"not a tar archive: {reason}")
        )


def _name(header: bytes) -> str:
    name = header[:100].partition(b"\0")[0]
    # ustar has a prefix there; GNU tar keeps times in that place, and has another magic.
    if header[257:263] == b"ustar\0" and header[345]:
        name = header[345:500].partition(b"\0")[0] + b"/" + name
    return _text(name)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _number(field: bytes, what: str) -> int:
    """A header's number: octal digits, or, where they do not suffice, binary with the first bit set (GNU tar)."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (len(field) * 8 - 1)) - 1)
        return value - (1 << (len(field) * 8 - 1)) if field[0] & 0x40 else value
    # Whatever follows a NUL is a leftover.
    digits = field.partition(b"\0")[0].strip(b" ") or b"0"
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise SpecError(f"{what} is {field!r}, which is no number")
    return int(digits, 8)


def _negative(header: bytes) -> int:
    """How many bytes are negative where a byte has a sign: there, old archives count them so."""
    counted = header[:148] + header[156:]
    return len(counted.translate(None, bytes(range(128))))


def _decimal(records: Mapping[str, bytes], key: str) -> int:
    value = records[key]
    if not value.isdigit() or len(value) > 20:
        raise SpecError(f"its {key} is {value[:30]!r}, which is no number")
    return int(value)


def _time(header: bytes, records: Mapping[str, bytes]) -> int:
    if "mtime" not in records:
        return _number(header[136:148], "its time") * 10**9
    found = _NUMBER.fullmatch(_text(records["mtime"]))
    if not found:
        raise SpecError(f"its mtime is {records['mtime'][:30]!r}, which is no number")
    sign, whole, fraction = found.groups()
    nanoseconds = int(whole) * 10**9 + int((fraction or "")[:9].ljust(9, "0"))
    return -nanoseconds if sign else nanoseconds
