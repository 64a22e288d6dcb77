"""Images in one file, as ``docker save`` and ``skopeo copy … oci-archive:`` write it.

    oci-layout, index.json       an image layout: what it leads to, with names
    blobs/sha256/<hex>           its content
    manifest.json                docker's older list: [{"Config": …, "RepoTags": […], "Layers": […]}], for older readers

Older docker wrote a directory for each layer instead of blobs (``<id>/layer.tar``, at times a link to another's).
Reading takes every file in as a blob, under its own digest, and only then looks at what leads where: so an archive may
be a pipe, its entries may come in any order, and a name in it is never a path on this machine.
"""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

from labcontainer.errors import LabError, NotFound, SpecError
from labcontainer.image import compression, garbage, tar
from labcontainer.image.ahead import Ahead
from labcontainer.image.image import Image
from labcontainer.image.store import LAYOUT, Store
from labcontainer.oci import fields, media_types
from labcontainer.oci.descriptor import REF_NAME, Descriptor
from labcontainer.oci.digest import Digest
from labcontainer.oci.image_config import ImageConfig
from labcontainer.oci.manifest import Index
from labcontainer.oci.reference import Reference

# containerd's, and so docker's, whole name; ref.name is the tag alone in their archives.
_NAME = "io.containerd.image.name"
_COPY_BYTES = 1 << 20
_MOST_FILES = 100_000

# A manifest or an index, and the names under which it is saved.
Named = tuple[Descriptor, Sequence[str]]


def save(store: Store, images: Sequence[Named], out: BinaryIO) -> None:
    """Write manifests or indexes, each with its names, as one archive. The same images give the same bytes.

    Raises: NotFound (kind "blob"), OSError. See: image-spec v1.1.0 image-layout.md
    """
    entries = [replace(each, annotations=_names(name)) for each, names in images for name in names or (None,)]
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_COPY_BYTES) as archive:
        digests = sorted(garbage.reachable(store.blobs, (each for each, _ in images)))
        # Named as docker names them: skopeo tries to give those that are not to root, which an ordinary user cannot.
        for directory in ("blobs", *sorted({f"blobs/{digest.algorithm}" for digest in digests})):
            archive.addfile(_directory(directory))
        for digest in digests:
            path = store.blobs.path(digest)
            with store.open_blob(digest) as blob:
                member = _member(f"blobs/{digest.algorithm}/{digest.hex}", path.stat().st_size)
                archive.addfile(member, blob)
        documents = {
            "index.json": fields.dump(Index(2, tuple(entries), media_types.INDEX)),
            "manifest.json": fields.json_bytes(_docker_list(store, images)),
            "oci-layout": LAYOUT,
        }
        for name, data in documents.items():
            archive.addfile(_member(name, len(data)), io.BytesIO(data))


def load(store: Store, file: BinaryIO) -> list[tuple[Image, str | None]]:
    """Take in every image of an archive, plain or compressed, under the names that it gives them.

    Success means: each image is whole, and verified. What nothing leads to is left for the next collection.

    Raises: SpecError (no archive of images; UnsafeLayer: it is damaged), DigestMismatch, NotFound (kind "blob": a part
    is missing), OSError. See: image-spec v1.1.0 image-layout.md
    """
    with store.lease():
        taken = _take(store, file)
        if "manifest.json" in taken.files:
            found = _from_docker(store, taken)
        elif "index.json" in taken.files:
            found = _from_layout(store, taken)
        else:
            raise SpecError("not an archive of images: it has neither an index.json nor a manifest.json")
    return found


@dataclass(slots=True)
class _Taken:
    """What an archive had: a digest and a size for each name of a file; names that stand for others."""

    files: dict[str, Descriptor] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Descriptor:
        """The file `name`, through links. Raises: SpecError."""
        given = name
        for _ in range(8):
            name = posixpath.normpath(name)
            if name in self.files:
                return self.files[name]
            if name not in self.links:
                break
            name = self.links[name]
        raise SpecError(f"the archive speaks of a file {given[:200]!r} that it does not have")


def _take(store: Store, file: BinaryIO) -> _Taken:
    taken = _Taken()
    plain = compression.reader(file)
    try:
        with Ahead(plain) as source:
            reader = tar.Reader(source)
            for entry in reader:
                name = posixpath.normpath(entry.name)
                if entry.is_file:
                    taken.files[name] = _blob(store, name, reader.content())
                elif entry.type == tar.SYMLINK:
                    taken.links[name] = posixpath.join(posixpath.dirname(name), entry.link)
                elif entry.type == tar.HARD_LINK:
                    taken.links[name] = entry.link
                if len(taken.files) + len(taken.links) > _MOST_FILES:
                    raise SpecError(f"not an archive of images: it has more than {_MOST_FILES} files")
            reader.finish()
    finally:
        plain.close()
    return taken


def _blob(store: Store, name: str, content: Iterable[bytes]) -> Descriptor:
    folder, _, hex = name.rpartition("/")
    expected = None
    if folder.startswith("blobs/") and "/" not in folder.removeprefix("blobs/"):
        expected = Digest.parse(f"{folder.removeprefix('blobs/')}:{hex}")
    return store.add_blob("", content, expected=expected)


def _from_docker(store: Store, taken: _Taken) -> list[tuple[Image, str | None]]:
    listed = fields.parse(store.blobs.read(taken.find("manifest.json")), "manifest.json")
    if not isinstance(listed, list):
        raise SpecError("manifest.json: expected an array")
    found: list[tuple[Image, str | None]] = []
    for number, each in enumerate(listed):
        where = f"manifest.json[{number}]"
        image = fields.read(_Listed, each, where)
        stored = replace(taken.find(image.config), media_type=media_types.CONFIG)
        config = ImageConfig.from_json(fields.parse(store.blobs.read(stored), f"{where}.Config"))
        layers = [_layer(store, taken.find(name)) for name in image.layers]
        names = [str(Reference.parse(tag)) for tag in image.repo_tags]
        found += [(store.add_manifest(config, stored, layers, tag=name), name) for name in names or (None,)]
    return found


@dataclass(frozen=True, slots=True)
class _Listed:
    """One entry of docker's manifest.json."""

    config: str = field(metadata={"key": "Config"})
    layers: tuple[str, ...] = field(metadata={"key": "Layers"})
    repo_tags: tuple[str, ...] = field(default=(), metadata={"key": "RepoTags"})


def _layer(store: Store, descriptor: Descriptor) -> Descriptor:
    with store.open_blob(descriptor.digest) as blob:
        return replace(descriptor, media_type=compression.media_type(blob.read(4)))


def _from_layout(store: Store, taken: _Taken) -> list[tuple[Image, str | None]]:
    index = Index.from_json(fields.parse(store.blobs.read(taken.find("index.json")), "index.json"))
    found = []
    for descriptor in index.manifests:
        _check_whole(store, descriptor)
        name = _name(descriptor)
        store.tag(replace(descriptor, annotations={}), name)
        found.append((store.resolve_descriptor(descriptor), name))
    return found


def _check_whole(store: Store, descriptor: Descriptor) -> None:
    """Of an index, what is for other machines may be missing: nobody can have all of it."""
    for child in garbage.children(store.blobs, descriptor):
        if descriptor.media_type in media_types.INDEXES:
            if store.blobs.has(child.digest):
                _check_whole(store, child)
        elif not store.blobs.keep(child.digest):
            raise NotFound("blob", str(child.digest), "the archive is not whole")


def _name(descriptor: Descriptor) -> str | None:
    """What the archive calls an image: its whole name, or what skopeo and podman write, a name or a bare tag."""
    for text in (descriptor.annotations.get(_NAME), descriptor.ref_name):
        try:
            if text and (text == descriptor.annotations.get(_NAME) or any(sign in text for sign in ":/")):
                return str(Reference.parse(text))
        except LabError:
            continue
    return None


def _names(name: str | None) -> dict[str, str]:
    if name is None:
        return {}
    reference = Reference.parse(name)
    return {_NAME: reference.canonical, REF_NAME: reference.tag or ""}


def _docker_list(store: Store, images: Sequence[Named]) -> list[dict[str, Any]]:
    found = []
    for descriptor, names in images:
        image = store.resolve_descriptor(descriptor)
        blobs = [f"blobs/{each.digest.algorithm}/{each.digest.hex}" for each in (image.manifest.config, *image.layers)]
        tags = [str(Reference.parse(name)) for name in names]
        found.append({"Config": blobs[0], "RepoTags": tags or None, "Layers": blobs[1:]})
    return found


def _directory(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, 0o755
    return member


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member
