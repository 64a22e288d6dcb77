"""The store: an OCI image layout, which skopeo, umoci and podman read in place.

    images/
    ├── oci-layout            {"imageLayoutVersion": "1.0.0"}
    ├── index.json            a descriptor for each tag, org.opencontainers.image.ref.name its name
    └── blobs/sha256/<hex>    manifests, configs, layers

    >>> store = Store(Path("/var/lib/labcontainer/images"))
    >>> store.resolve("lab/base").config.config.cmd
    ('sh',)

What no entry of the index leads to is garbage, until somebody calls `collect`; a `lease` keeps what is being brought
in from it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from labcontainer.errors import Conflict, InvalidReference, LabError, NotFound, SpecError
from labcontainer.image import garbage, lease
from labcontainer.image.blobs import Blobs, sync_directory
from labcontainer.image.image import Image
from labcontainer.oci import fields, media_types
from labcontainer.oci.descriptor import REF_NAME, Descriptor, Platform
from labcontainer.oci.digest import Digest
from labcontainer.oci.image_config import ImageConfig
from labcontainer.oci.manifest import Index, Manifest
from labcontainer.oci.reference import Reference

LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_ID = re.compile(r"(?:sha256:)?([a-f0-9]{4,64})")
_DEEPEST_INDEX = 4


class Store:
    """The image layout at `root`. Several processes may use one; changes of index.json are made under a lock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = Blobs(root)
        # Content never changes under its digest, so what was read and verified once stays true.
        self._images: dict[Digest, Image] = {}
        self._index_seen: tuple[tuple[int, int], Index] | None = None

    def resolve(self, name: str) -> Image:
        """The image with that reference, id, or beginning of an id (4 digits at least).

        Raises: NotFound (kind "image"; kind "blob" where the layout lacks a part of it), InvalidReference, Conflict
        (several ids begin so), SpecError.
        """
        try:
            wanted = Reference.parse(name)
        except InvalidReference:
            if not _ID.fullmatch(name):
                raise
        else:
            for descriptor in self._index().manifests:
                if _is_meant(wanted, descriptor):
                    return self._image(descriptor, self._tags(descriptor))
        if digits := _ID.fullmatch(name):
            found = [image for image in self.images() if image.id.hex.startswith(digits[1])]
            if len(found) > 1:
                raise Conflict("image", name, "is the beginning of several ids: give more digits")
            if found:
                return found[0]
        raise NotFound("image", name, "lab images lists what is here")

    def images(self) -> tuple[Image, ...]:
        """Every whole image of the index, each once, with its tags.

        What cannot be read (a part is missing, another kind of artifact) is left out: it must not keep the rest from
        view.
        """
        found: dict[Digest, Image] = {}
        for descriptor in self._index().manifests:
            with contextlib.suppress(LabError):
                found.setdefault(descriptor.digest, self._image(descriptor, self._tags(descriptor)))
        return tuple(found.values())

    def add_blob(self, media_type: str, chunks: Iterable[bytes], *, expected: Digest | None = None) -> Descriptor:
        """Store content. Success means: it is on disk, whole, under its own digest; adding it twice is no error.

        Raises: DigestMismatch where it is not the `expected` (nothing is stored then), OSError.
        """
        return self.blobs.add(media_type, chunks, expected=expected)

    def open_blob(self, digest: Digest) -> BinaryIO:
        """The content of `digest`, which the caller closes. Raises: NotFound (kind "blob")."""
        return self.blobs.open(digest)

    @contextlib.contextmanager
    def lease(self) -> Iterator[None]:
        """Bring content in while the block lasts: what is added in it, or asked for by `Blobs.keep`, is no garbage."""
        with lease.hold(self.root / "leases"):
            yield

    def collect(self) -> tuple[int, int]:
        """Remove the blobs that nothing leads to; returns how many they were, and how many bytes. Raises: OSError."""
        with self._changing() as entries:
            before_ns = lease.oldest_ns(self.root / "leases")
            swept = list(garbage.sweep(self.blobs, garbage.reachable(self.blobs, entries), before_ns))
        self._images.clear()
        return len(swept), sum(size for _, size in swept)

    def add_image(self, config: ImageConfig, layers: Iterable[Descriptor], *, tag: str | None = None) -> Image:
        """Store a config, and a manifest of it and `layers`, whose blobs are here; lead `tag` to it.

        Raises: InvalidReference, SpecError (layers and diff_ids do not pair up), OSError.
        """
        return self.add_manifest(config, self.add_blob(media_types.CONFIG, [fields.dump(config)]), layers, tag=tag)

    def add_manifest(
        self, config: ImageConfig, stored: Descriptor, layers: Iterable[Descriptor], *, tag: str | None = None
    ) -> Image:
        """As `add_image`, for a config that is `stored` already in somebody else's bytes."""
        manifest = Manifest(2, stored, tuple(layers), media_types.MANIFEST)
        _check_pairs(manifest, config, stored.digest)
        descriptor = self.add_blob(media_types.MANIFEST, [fields.dump(manifest)])
        descriptor = replace(descriptor, platform=Platform(config.architecture, config.os, variant=config.variant))
        self.tag(descriptor, tag)
        return self._image(descriptor, self._tags(descriptor))

    def tag(self, descriptor: Descriptor, name: str | None) -> None:
        """Lead the reference `name` to a manifest or index that is here; None only lists it.

        An image that loses its last tag by this stays listed without one.

        Raises: InvalidReference, NotFound (kind "blob"), OSError.
        """
        self.open_blob(descriptor.digest).close()
        reference = Reference.parse(name) if name is not None else None
        with self._changing() as entries:
            kept = [_without_name(one) if reference and _is_meant(reference, one) else one for one in entries]
            annotations = {key: text for key, text in descriptor.annotations.items() if key != REF_NAME}
            if reference:
                annotations[REF_NAME] = _ref_name(reference)
            kept.append(replace(descriptor, annotations=annotations))
            named = {one.digest for one in kept if one.ref_name is not None}
            listed = {(one.digest, one.ref_name): one for one in kept if one.ref_name or one.digest not in named}
            entries[:] = listed.values()

    def untag(self, name: str, *, keep: bool = False) -> None:
        """Take the reference `name` from what it leads to; without another, that is listed no more, unless `keep`.

        Raises: InvalidReference, NotFound (kind "image").
        """
        reference = Reference.parse(name)
        with self._changing() as entries:
            meant = [one for one in entries if _is_meant(reference, one)]
            if not meant:
                raise NotFound("image", name, "lab images lists what is here")
            rest = [one for one in entries if one not in meant]
            listed = {one.digest for one in rest}
            left = [_without_name(one) for one in meant if keep and one.digest not in listed]
            entries[:] = rest + left

    def unlist(self, digest: Digest) -> None:
        """Take every entry of a manifest, or index, from the index; its blobs stay until `collect`."""
        with self._changing() as entries:
            entries[:] = [one for one in entries if one.digest != digest]

    def resolve_descriptor(self, descriptor: Descriptor) -> Image:
        """The image that a manifest, or an index for this machine, describes. Raises: NotFound, SpecError."""
        return self._image(descriptor, self._tags(descriptor))

    def _image(self, descriptor: Descriptor, tags: tuple[str, ...]) -> Image:
        if descriptor.digest not in self._images:
            self._images[descriptor.digest] = self._read_image(_without_name(descriptor))
        return replace(self._images[descriptor.digest], tags=tags)

    def _read_image(self, descriptor: Descriptor, depth: int = 0) -> Image:
        where = str(descriptor.digest)
        document = fields.parse(self.blobs.read(descriptor), where)
        if descriptor.media_type in media_types.INDEXES:
            if depth > _DEEPEST_INDEX:
                raise SpecError(f"{where}: indexes within indexes without end")
            return self._read_image(_for_this_machine(Index.from_json(document), where), depth + 1)
        manifest = Manifest.from_json(document)
        config = ImageConfig.from_json(fields.parse(self.blobs.read(manifest.config), str(manifest.config.digest)))
        _check_pairs(manifest, config, manifest.config.digest)
        return Image(descriptor, manifest, config)

    def _tags(self, descriptor: Descriptor) -> tuple[str, ...]:
        same = (one for one in self._index().manifests if one.digest == descriptor.digest)
        return tuple(sorted(str(reference) for one in same if (reference := _reference(one))))

    def _index(self) -> Index:
        path = self.root / "index.json"
        try:
            status = os.stat(path)
            version = status.st_ino, status.st_mtime_ns
            if self._index_seen is None or self._index_seen[0] != version:
                self._index_seen = version, Index.from_json(fields.parse(path.read_bytes(), str(path)))
            return self._index_seen[1]
        except FileNotFoundError:
            return Index(2, (), media_types.INDEX)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[Descriptor]]:
        """The entries of index.json, to be changed; written when the block ends without error."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            self._index_seen = None
            index = self._index()
            entries = list(index.manifests)
            yield entries
            if not (self.root / "oci-layout").exists():
                self._write("oci-layout", LAYOUT)
            self._write("index.json", fields.dump(replace(index, manifests=tuple(entries))))
            sync_directory(self.root)
        finally:
            os.close(fd)

    def _write(self, name: str, data: bytes) -> None:
        # Only the holder of the lock comes here: one name is enough, and what a killed one left is written over.
        beside = self.root / f".{name}"
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self.root / name)


def _is_meant(wanted: Reference, descriptor: Descriptor) -> bool:
    present = _reference(descriptor)
    if present is None or (present.domain, present.path) != (wanted.domain, wanted.path):
        return False
    return descriptor.digest == wanted.digest if wanted.digest else present.tag == wanted.tag


def _reference(descriptor: Descriptor) -> Reference | None:
    # Other tools may write any name there (umoci: a bare tag); what is no reference leads nowhere.
    try:
        return Reference.parse(descriptor.ref_name) if descriptor.ref_name else None
    except InvalidReference:
        return None


def _ref_name(reference: Reference) -> str:
    # Other tools compare this name letter by letter: `skopeo inspect oci:images:lab/base` must find it.
    return reference.repository if reference.tag == "latest" else str(reference)


def _without_name(descriptor: Descriptor) -> Descriptor:
    annotations = {key: text for key, text in descriptor.annotations.items() if key != REF_NAME}
    return replace(descriptor, annotations=annotations)


def _for_this_machine(index: Index, where: str) -> Descriptor:
    host = Platform.host()
    for descriptor in index.manifests:
        if descriptor.platform is None or descriptor.platform.runs_on(host):
            return descriptor
    raise NotFound("image", f"{where} for {host.os}/{host.architecture}")


def _check_pairs(manifest: Manifest, config: ImageConfig, id: Digest) -> None:
    layers, diff_ids = len(manifest.layers), len(config.rootfs.diff_ids)
    if layers != diff_ids:
        raise SpecError(f"image {id}: {layers} layers in the manifest, but {diff_ids} diff_ids in the config")
