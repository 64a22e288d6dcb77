"""The store: an OCI image layout, which skopeo and umoci read in place.

    images/
    ├── oci-layout            {"imageLayoutVersion": "1.0.0"}
    ├── index.json            a descriptor for each tag
    └── blobs/sha256/<hex>    manifests, configurations, layers
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from labcontainer.errors import Conflict, DigestMismatch, NotFound
from labcontainer.image.image import Image
from labcontainer.oci.digest import Digest
from labcontainer.oci.image_spec import CONFIG, MANIFEST, REF_NAME, Descriptor, ImageConfig, Index, Manifest, dump, parse
from labcontainer.oci.reference import Reference

_LARGEST_JSON_BYTES = 4 << 20


class Store:
    """The image layout at `root`. Several processes may use one; changes to index.json are made under a lock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._blobs = root / "blobs" / "sha256"
        # What a digest names never changes, so what was read and checked once stays true.
        self._known: dict[Digest, tuple[Manifest, ImageConfig]] = {}

    def add_blob(self, chunks: Iterable[bytes], *, expected: Digest | None = None) -> tuple[Digest, int]:
        """Store content and return its digest and size. Success means: it is on disk, whole, under its own digest.

        Raises: DigestMismatch where it is not `expected`; then nothing is stored. See: image-spec v1.1.0 image-layout.md#blobs
        """
        self._prepare()
        digest, size = hashlib.sha256(), 0
        with tempfile.NamedTemporaryFile(dir=self._blobs, prefix=".", delete=False) as file:
            try:
                for chunk in chunks:
                    digest.update(chunk)
                    size += file.write(chunk)
                found = Digest("sha256", digest.hexdigest())
                if expected is not None and found != expected:
                    raise DigestMismatch(str(expected), str(found))
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), 0o644)
                os.replace(file.name, self.path(found))
            except BaseException:
                os.unlink(file.name)
                raise
        return found, size

    def path(self, digest: Digest) -> Path:
        """Where the content of `digest` is, if it is here."""
        return self._blobs / digest.hex

    def open_blob(self, digest: Digest) -> BinaryIO:
        """The content of `digest`. Raises: NotFound (kind "blob")."""
        try:
            return open(self.path(digest), "rb")
        except FileNotFoundError:
            raise NotFound("blob", str(digest)) from None

    def add_image(self, config: ImageConfig, layers: tuple[Descriptor, ...], tag: str) -> Image:
        """Store a configuration and a manifest over layers that are here, and give it the reference `tag`."""
        config_digest, config_size = self.add_blob([dump(config)])
        manifest = Manifest(2, Descriptor(CONFIG, str(config_digest), config_size), layers)
        digest, size = self.add_blob([dump(manifest)])
        platform = {"architecture": config.architecture, "os": config.os}
        self._tag(Descriptor(MANIFEST, str(digest), size, platform=platform), Reference.parse(tag))
        return Image(config_digest, (str(Reference.parse(tag)),), manifest, config)

    def resolve(self, name: str) -> Image:
        """The image with that reference, or with an id that begins so.

        Raises: NotFound (kind "image"), InvalidReference, Conflict (several ids begin so), SpecError.
        """
        digits = name.removeprefix("sha256:")
        images = self.images()
        if len(digits) >= 4 and not set(digits) - set("0123456789abcdef"):
            found = [image for image in images if image.id.hex.startswith(digits)]
            if len(found) > 1:
                raise Conflict("image", name, "is the beginning of several ids: give more digits")
            if found:
                return found[0]
        wanted = str(Reference.parse(name))
        for image in images:
            if wanted in image.tags:
                return image
        raise NotFound("image", name, "lab images lists what is here")

    def images(self) -> tuple[Image, ...]:
        """Every image, with all its tags, in the order of index.json. Raises: SpecError where the layout is damaged."""
        tags: dict[str, list[str]] = {}
        for descriptor in self._index().manifests:
            if descriptor.media_type == MANIFEST:
                reference = descriptor.annotations.get(REF_NAME)
                tags.setdefault(descriptor.digest_text, []).extend([reference] if reference else [])
        return tuple(self._image(Digest.parse(digest), tuple(names)) for digest, names in tags.items())

    def _image(self, digest: Digest, tags: tuple[str, ...]) -> Image:
        if digest not in self._known:
            manifest = parse(Manifest, self._json(digest), f"manifest {digest}")
            id = manifest.config.digest
            self._known[digest] = manifest, parse(ImageConfig, self._json(id), f"config {id}")
        manifest, config = self._known[digest]
        return Image(manifest.config.digest, tags, manifest, config)

    def _json(self, digest: Digest) -> bytes:
        with self.open_blob(digest) as file:
            data = file.read(_LARGEST_JSON_BYTES)
        if Digest.of(data) != digest:
            raise DigestMismatch(str(digest), str(Digest.of(data)))
        return data

    def _tag(self, descriptor: Descriptor, reference: Reference) -> None:
        with self._locked():
            index = self._index()
            others = [one for one in index.manifests if one.annotations.get(REF_NAME) != str(reference)]
            named = replace(descriptor, annotations={REF_NAME: str(reference)})
            self._write("index.json", dump(replace(index, manifests=(*others, named))))

    def _index(self) -> Index:
        try:
            return parse(Index, (self.root / "index.json").read_bytes(), str(self.root / "index.json"))
        except FileNotFoundError:
            return Index(2)

    def _prepare(self) -> None:
        if not (self.root / "oci-layout").exists():
            self._blobs.mkdir(parents=True, exist_ok=True)
            self._write("oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
            if not (self.root / "index.json").exists():
                self._write("index.json", dump(Index(2)))

    def _write(self, name: str, data: bytes) -> None:
        with tempfile.NamedTemporaryFile(dir=self.root, prefix=".", delete=False) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
        os.replace(file.name, self.root / name)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fd = os.open(self.root / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)
