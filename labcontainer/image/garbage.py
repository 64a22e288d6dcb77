"""Garbage: blobs to which no name leads.

index.json ──► manifest ──► config, layers         is kept
           └─► index ──► manifest ──► …            is kept, also where parts of it were never brought
everything else                                    goes, unless a lease spares it
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

from labcontainer.errors import LabError
from labcontainer.image.blobs import Blobs
from labcontainer.oci import fields, media_types
from labcontainer.oci.descriptor import Descriptor
from labcontainer.oci.digest import Digest
from labcontainer.oci.manifest import Index, Manifest


def reachable(blobs: Blobs, roots: Iterable[Descriptor]) -> set[Digest]:
    """Every digest to which `roots` lead, as far as what leads on can be read. Raises: OSError."""
    found: set[Digest] = set()
    waiting = list(roots)
    while waiting:
        descriptor = waiting.pop()
        if descriptor.digest not in found:
            found.add(descriptor.digest)
            with contextlib.suppress(LabError):  # damaged, or never brought: it leads nowhere
                waiting += children(blobs, descriptor)
    return found


def children(blobs: Blobs, descriptor: Descriptor) -> tuple[Descriptor, ...]:
    """What a manifest or an index leads to; nothing for any other content. Raises: NotFound, SpecError."""
    where = str(descriptor.digest)
    if descriptor.media_type in media_types.INDEXES:
        return Index.from_json(fields.parse(blobs.read(descriptor), where)).manifests
    if descriptor.media_type in media_types.MANIFESTS:
        manifest = Manifest.from_json(fields.parse(blobs.read(descriptor), where))
        return (manifest.config, *manifest.layers)
    return ()


def sweep(blobs: Blobs, kept: set[Digest], before_ns: int | None) -> Iterator[tuple[Digest, int]]:
    """Remove every blob that is not `kept` and not younger than `before_ns`; gives each one's digest and size."""
    for digest, path in blobs.all():
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            if digest not in kept and (before_ns is None or status.st_mtime_ns < before_ns):
                os.unlink(path)
                yield digest, status.st_size
