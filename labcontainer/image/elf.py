"""What a program or library says about itself: its loader, and the libraries it needs (man 5 elf).

Only the segments are read, which the Linux kernel and the dynamic loader go by; sections are for compilers and
debuggers.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MAGIC = b"\x7fELF"
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 15, 29
_LONGEST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Elf:
    """One file's dynamic section. Two files can be loaded together only if their `kind` is the same."""

    kind: bytes
    interpreter: str | None
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    runpath: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Segment:
    type: int
    offset: int
    address: int
    size: int


def read(path: Path) -> Elf | None:
    """The `Elf` of `path`; None where it is a script, not readable, or damaged. See: man 5 elf"""
    try:
        with open(path, "rb") as file:
            return _read(file)
    except (OSError, struct.error, ValueError, OverflowError):
        return None


def loadable(path: Path) -> bytes:
    """An ELF file without what follows its last segment: debugging symbols, which can be most of it.

    See: man 5 elf (e_shoff, e_shnum, e_shstrndx)
    """
    with open(path, "rb") as file:
        form, order, header = _header(file)
        segments = _segments(file, form, order, header)
        table_end = header["phoff"] + header["phentsize"] * header["phnum"]
        end = max([table_end, *(one.offset + one.size for one in segments)])
        file.seek(0)
        data = bytearray(file.read(end))
    shoff_at, sizes_at = (0x28, 0x3C) if form == 64 else (0x20, 0x30)
    struct.pack_into(order + ("Q" if form == 64 else "I"), data, shoff_at, 0)
    struct.pack_into(order + "HH", data, sizes_at, 0, 0)
    return bytes(data)


def loadable_bytes(path: Path) -> int:
    """How many bytes `loadable` would return, or the file's size where it is no ELF file. See: man 5 elf"""
    try:
        with open(path, "rb") as file:
            form, order, header = _header(file)
            return max(one.offset + one.size for one in _segments(file, form, order, header))
    except (struct.error, ValueError):
        return os.stat(path).st_size


def _header(file: BinaryIO) -> tuple[int, str, dict[str, int]]:
    start = file.read(64)
    if len(start) < 52 or start[:4] != _MAGIC or start[4] not in (1, 2) or start[5] not in (1, 2):
        raise ValueError("not an ELF file")
    form, order = (32, 64)[start[4] - 1], "<>"[start[5] - 1]
    layout = "HHIQQQIHHH" if form == 64 else "HHIIIIIHHH"
    names = ("type", "machine", "version", "entry", "phoff", "shoff", "flags", "ehsize", "phentsize", "phnum")
    return form, order, dict(zip(names, struct.unpack_from(order + layout, start, 16), strict=True))


def _segments(file: BinaryIO, form: int, order: str, header: dict[str, int]) -> list[_Segment]:
    layout = struct.Struct(order + ("IIQQQQ" if form == 64 else "IIIII"))
    found = []
    for number in range(header["phnum"]):
        file.seek(header["phoff"] + number * header["phentsize"])
        values = layout.unpack(file.read(layout.size))
        if form == 64:
            type, _, offset, address, _, size = values
        else:
            type, offset, address, _, size = values
        found.append(_Segment(type, offset, address, size))
    return found


def _read(file: BinaryIO) -> Elf:
    form, order, header = _header(file)
    segments = _segments(file, form, order, header)
    kind = struct.pack("<B?H", form, order == "<", header["machine"])
    interpreter, entries = None, []
    for segment in segments:
        if segment.type == _PT_INTERP:
            interpreter = _text(file, segment.offset)
        elif segment.type == _PT_DYNAMIC:
            file.seek(segment.offset)
            layout = struct.Struct(order + ("qQ" if form == 64 else "iI"))
            data = file.read(segment.size)
            entries = list(layout.iter_unpack(data[: len(data) // layout.size * layout.size]))
    if (_DT_NULL, 0) in entries:
        entries = entries[: entries.index((_DT_NULL, 0))]
    strings = next((value for tag, value in entries if tag == _DT_STRTAB), 0)

    def texts(wanted: int) -> tuple[str, ...]:
        return tuple(_text(file, _offset(segments, strings) + value) for tag, value in entries if tag == wanted)

    rpath, runpath = (tuple(":".join(texts(tag)).split(":")) for tag in (_DT_RPATH, _DT_RUNPATH))
    return Elf(kind, interpreter, texts(_DT_NEEDED), tuple(filter(None, rpath)), tuple(filter(None, runpath)))


def _offset(segments: list[_Segment], address: int) -> int:
    for segment in segments:
        if segment.type == _PT_LOAD and segment.address <= address < segment.address + segment.size:
            return address - segment.address + segment.offset
    raise ValueError("an address that no segment holds")


def _text(file: BinaryIO, offset: int) -> str:
    file.seek(offset)
    return os.fsdecode(file.read(_LONGEST_BYTES).partition(b"\0")[0])
