"""Layers read from disk: every file of each lowerdir, of the upperdir and of merged, with the marks an overlay leaves.

>>> from labcontainer.runtime import layers
>>> [entry.path for entry in layers.read(Path("bench/upper"), "upper").entries]
['etc', 'etc/motd']
"""

from __future__ import annotations

import enum
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labcontainer.kernel import overlay

_TEXT_BYTES = 120


class Kind(enum.StrEnum):
    """What a directory entry is. A whiteout is a character device 0:0; the overlay gives it its meaning."""

    DIRECTORY = "directory"
    FILE = "file"
    LINK = "link"
    WHITEOUT = "whiteout"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in one layer, as lstat(2), listxattr(2) and its first bytes show it.

    ``mode`` is octal, ``device`` the major:minor of a device file, ``text`` the first 120 bytes or the link's target.
    """

    path: str
    kind: Kind
    inode: int
    size_bytes: int
    mode: str
    device: str
    text: str
    opaque: bool
    xattrs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """All entries below one directory, sorted so that a directory comes before what is in it."""

    name: str
    entries: tuple[Entry, ...]

    def to_json(self) -> dict[str, Any]:
        """The layer as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Layer:
        """The inverse of `to_json`."""
        entries = ({**each, "kind": Kind(each["kind"]), "xattrs": tuple(each["xattrs"])} for each in fields["entries"])
        return cls(fields["name"], tuple(Entry(**each) for each in entries))


def read(directory: Path, name: str) -> Layer:
    """Everything below `directory`.

    Raises: OSError where it cannot be read. See: man 2 lstat, man 2 listxattr
    """
    return Layer(name, tuple(_entries(directory, "")))


def _entries(root: Path, below: str) -> Iterator[Entry]:
    for name in sorted(os.listdir(root / below)):
        path = f"{below}/{name}" if below else name
        entry = _entry(root, path)
        yield entry
        if entry.kind is Kind.DIRECTORY:
            yield from _entries(root, path)


def _entry(root: Path, path: str) -> Entry:
    full = root / path
    status = os.lstat(full)
    kind = _kind(status)
    is_device = kind in (Kind.WHITEOUT, Kind.OTHER)
    return Entry(
        path=path,
        kind=kind,
        inode=status.st_ino,
        size_bytes=status.st_size,
        mode=f"{stat.S_IMODE(status.st_mode):03o}",
        device=f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}" if is_device else "",
        text=_text(full, kind),
        opaque=kind is Kind.DIRECTORY and overlay.is_opaque(full),
        xattrs=tuple(sorted(name for name in os.listxattr(full, follow_symlinks=False) if ".overlay." in name)),
    )


def _kind(status: os.stat_result) -> Kind:
    if overlay.is_whiteout(status):
        return Kind.WHITEOUT
    by_type = {stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFREG: Kind.FILE, stat.S_IFLNK: Kind.LINK}
    return by_type.get(stat.S_IFMT(status.st_mode), Kind.OTHER)


def _text(path: Path, kind: Kind) -> str:
    if kind is Kind.LINK:
        return os.readlink(path)
    if kind is not Kind.FILE:
        return ""
    with open(path, "rb") as file:
        return file.read(_TEXT_BYTES).decode(errors="backslashreplace")
