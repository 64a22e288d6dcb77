"""Applying a layer to a directory, whatever the layer says.

    blob ──► inflate, hash (image/ahead.py) ──► entries (image/tar.py) ──► files (image/rootfs.py)

An archive is hostile until proven otherwise: where its files go is `image.rootfs`'s care, how many there may be and how
large they are is watched here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from labcontainer.errors import UnsafeLayer
from labcontainer.image import compression
from labcontainer.image.ahead import Ahead
from labcontainer.image.rootfs import Rootfs
from labcontainer.image.tar import Entry, Reader
from labcontainer.oci.digest import Digest

# More than a whole distribution installs: whoever has more has had a tool write them.
_MOST_ENTRIES = 1_000_000
# What stays free on the disk: whoever fills the last of it stops more than a container.
_RESERVE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a layer may hold: entries, and bytes of content in all of them."""

    entries: int
    size_bytes: int

    @classmethod
    def of(cls, directory: Path) -> Bounds:
        """What the disk under `directory` has room for. See: man 3 statvfs"""
        disk = os.statvfs(directory)
        entries = min(_MOST_ENTRIES, disk.f_favail) if disk.f_files else _MOST_ENTRIES
        return cls(entries, max(disk.f_bavail * disk.f_frsize - _RESERVE_BYTES, 0))


def apply(layer: BinaryIO, directory: Path, *, diff_id: Digest | None = None, bounds: Bounds | None = None) -> None:
    """Unpack `layer` (a tar, plain or compressed) into the empty `directory`.

    Raises: UnsafeLayer (the entry, and why), SpecError (no tar, or cut short), DigestMismatch (uncompressed it is not
    `diff_id`), KernelError. See: image-spec v1.1.0 layer.md
    """
    hasher = diff_id.hasher() if diff_id else None
    plain = compression.reader(layer)
    try:
        with Ahead(plain, hasher) as source, Rootfs(directory, ordinary=os.geteuid() != 0) as rootfs:
            reader = Reader(source)
            guard = _Guard(bounds or Bounds.of(directory))
            for entry in reader:
                guard.count(entry)
                rootfs.add(entry, guard.content(entry, reader))
            reader.finish()
            rootfs.finish()
    finally:
        plain.close()
    if diff_id and hasher:
        diff_id.check(hasher)


@dataclass(slots=True)
class _Guard:
    """Counts what comes out of an archive: a few kilobytes can inflate to a disk full of zeros, or a million names."""

    bounds: Bounds
    entries: int = 0
    size_bytes: int = 0

    def count(self, entry: Entry) -> None:
        self.entries += 1
        if self.entries > self.bounds.entries:
            raise UnsafeLayer(
                entry.name, f"it is one more than the {self.bounds.entries} entries that are allowed here"
            )

    def content(self, entry: Entry, reader: Reader) -> Iterator[bytes]:
        for piece in reader.content():
            self.size_bytes += len(piece)
            if self.size_bytes > self.bounds.size_bytes:
                raise UnsafeLayer(
                    entry.name, f"the layer holds more than the {self.bounds.size_bytes} bytes that are free"
                )
            yield piece
