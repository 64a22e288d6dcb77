"""Making a layer: a tree of named entries as a tar archive, the same bytes for the same tree.

What differs from run to run is left out: entries are sorted, owned by root, and dated 1970; gzip notes neither name nor
time.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from labcontainer.image import compression
from labcontainer.image.store import Store
from labcontainer.image.tar import Reader
from labcontainer.oci import media_types
from labcontainer.oci.descriptor import Descriptor
from labcontainer.oci.digest import Digest, new_hash


@dataclass(frozen=True, slots=True)
class Copy:
    """A file of the host, by its content; what matters of its mode is whether it can be executed."""

    source: Path


@dataclass(frozen=True, slots=True)
class Content:
    """A file that we write ourselves."""

    data: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory."""

    mode: int = 0o755


Entry = Copy | Content | Link | Directory
Tree = Mapping[str, Entry]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of a store, and the digest of its uncompressed tar."""

    descriptor: Descriptor
    diff_id: Digest


def write(tree: Tree, store: Store) -> Layer:
    """Store `tree` (its paths have no slash in front) as a gzipped layer. Parents that it does not name get 0755.

    Raises: OSError. See: image-spec v1.1.0 layer.md
    """
    with store.blobs.writer() as blob, compression.writer(cast(BinaryIO, blob)) as compressed:
        diff = _Hashed(compressed)
        with tarfile.open(fileobj=cast(BinaryIO, diff), mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(with_parents(tree)):
                _add(archive, path, tree.get(path, Directory()))
    return Layer(Descriptor(media_types.LAYER_GZIP, blob.digest, blob.size), diff.digest)


def from_tar(chunks: Iterable[bytes], store: Store) -> Layer:
    """Store a tar that somebody else has made, gzipped, once it has been read to its end.

    Raises: UnsafeLayer, SpecError (no tar, or cut short), OSError. See: image-spec v1.1.0 layer.md
    """
    with store.blobs.writer() as blob, compression.writer(cast(BinaryIO, blob)) as compressed:
        diff = _Hashed(compressed)
        reader = Reader(_Tee(iter(chunks), diff))
        for _ in reader:
            pass
        reader.finish()
    return Layer(Descriptor(media_types.LAYER_GZIP, blob.digest, blob.size), diff.digest)


def with_parents(tree: Tree) -> set[str]:
    """The paths of `tree`, and of every directory on the way to them. See: image-spec v1.1.0 layer.md#creating"""
    found = set(tree)
    for path in tree:
        while (path := os.path.dirname(path)) and path not in found:
            found.add(path)
    return found


class _Tee:
    """Chunks on their way to a reader, which checks what is written to `target` meanwhile."""

    def __init__(self, chunks: Iterator[bytes], target: _Hashed) -> None:
        self._chunks = chunks
        self._target = target

    def read(self, size: int, /) -> bytes:
        chunk = next(self._chunks, b"")
        self._target.write(chunk)
        return chunk


class _Hashed:
    """Hands what is written to the compressor, and takes the digest of the uncompressed archive on the way."""

    def __init__(self, target: io.BufferedIOBase) -> None:
        self._target = target
        self._hash = new_hash()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._target.write(data)

    @property
    def digest(self) -> Digest:
        return Digest("sha256", self._hash.hexdigest())


def _add(archive: tarfile.TarFile, path: str, entry: Entry) -> None:
    member = tarfile.TarInfo(path)
    match entry:
        case Directory(mode):
            member.type, member.mode = tarfile.DIRTYPE, mode
            archive.addfile(member)
        case Link(target):
            member.type, member.linkname, member.mode = tarfile.SYMTYPE, target, 0o777
            archive.addfile(member)
        case Content(data, mode):
            member.size, member.mode = len(data), mode
            archive.addfile(member, io.BytesIO(data))
        case Copy(source):
            with open(source, "rb") as file:
                status = os.fstat(file.fileno())
                # No set-user-ID here: a starter image needs none, and its layers lie on a disk that others share.
                member.size, member.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
                archive.addfile(member, file)
