"""Making layers: a tree of chosen files as a tar archive, the same bytes for the same tree."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labcontainer.image.store import Store
from labcontainer.oci.image_spec import LAYER_GZIP, Descriptor

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Copy:
    """A file of the host; it is followed if it is a link."""

    source: Path


@dataclass(frozen=True, slots=True)
class Text:
    """A file that we write ourselves."""

    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory; parents that are not named get 0755."""

    mode: int = 0o755


Entry = Copy | Text | Link | Directory


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer in the store, and the digest of its uncompressed archive."""

    descriptor: Descriptor
    diff_id: str


def write(tree: Mapping[str, Entry], store: Store) -> Layer:
    """Store `tree` (paths without a slash in front) as a gzipped layer: sorted, owned by root, times 0.

    See: image-spec v1.1.0 layer.md
    """
    diff = hashlib.sha256()
    with tempfile.TemporaryFile() as packed:
        with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=3, mtime=0, filename="") as compressed:
            with tarfile.open(fileobj=_Tee(compressed, diff), mode="w|", format=tarfile.PAX_FORMAT) as archive:
                for path in sorted(_with_parents(tree)):
                    _add(archive, path, tree.get(path, Directory()))
        packed.seek(0)
        digest, size = store.add_blob(iter(lambda: packed.read(CHUNK_BYTES), b""))
    return Layer(Descriptor(LAYER_GZIP, str(digest), size), f"sha256:{diff.hexdigest()}")


class _Tee(io.RawIOBase):
    """Hands what is written to the compressor and to the digest of the uncompressed archive."""

    def __init__(self, target: gzip.GzipFile, digest: hashlib._Hash) -> None:
        self._target, self._digest = target, digest

    def write(self, data) -> int:  # type: ignore[no-untyped-def, override]
        self._digest.update(data)
        return self._target.write(data)


def _add(archive: tarfile.TarFile, path: str, entry: Entry) -> None:
    member = tarfile.TarInfo(path)
    match entry:
        case Directory(mode):
            member.type, member.mode = tarfile.DIRTYPE, mode
            archive.addfile(member)
        case Link(target):
            member.type, member.linkname, member.mode = tarfile.SYMTYPE, target, 0o777
            archive.addfile(member)
        case Text(content, mode):
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
        case Copy(source):
            with open(source, "rb") as file:
                status = os.fstat(file.fileno())
                member.size, member.mode = status.st_size, stat.S_IMODE(status.st_mode) & 0o755
                archive.addfile(member, file)


def _with_parents(tree: Mapping[str, Entry]) -> set[str]:
    found = set(tree)
    for path in tree:
        while path := os.path.dirname(path):
            found.add(path)
    return found
