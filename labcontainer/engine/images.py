"""``engine.images``: what can be run; docker-py's verbs for it."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from labcontainer.engine import filters as filtering
from labcontainer.errors import LabError, NotFound
from labcontainer.image import starter
from labcontainer.image.image import Image
from labcontainer.oci.digest import Digest
from labcontainer.oci.reference import Reference
from labcontainer.runtime import events

if TYPE_CHECKING:
    from labcontainer.engine.engine import Engine

_CHUNK_BYTES = 2 << 20

Words = list[dict[str, str]]
Steps = list[dict[str, Any]]
Loaded = list[Image]


class Images:
    """The images of one engine; the starter images are made when the first of them is asked for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, name: str) -> Image:
        """The image of that reference, id, or beginning of an id. Raises: NotFound, InvalidReference."""
        try:
            return self._engine.store.resolve(name)
        except NotFound:
            if not name.startswith("lab/"):
                raise
        starter.ensure(self._engine.store)
        return self._engine.store.resolve(name)

    def list(self, name: str | None = None, *, filters: filtering.Given = None) -> list[Image]:
        """Every image, newest first; those of the repository or reference `name` alone, and those that fit `filters`.

        Filters, docker's: dangling, label, before, since, reference, until. An engine in which nothing ever was makes
        the starter images first. Raises: UsageError, NotFound (before, since).
        """
        from labcontainer.engine import image_selection

        if not (self._engine.store.root / "index.json").exists():
            starter.ensure(self._engine.store)
        return image_selection.select(self._engine, name, filters)

    def tag(self, image: str, name: str) -> None:
        """Lead the reference `name` to an image that is here. Raises: NotFound, InvalidReference, UsageError."""
        found = self.get(image)
        self._engine.store.tag(found.descriptor, name)
        self.tell("tag", found, name)

    def remove(self, image: str, *, force: bool = False, noprune: bool = False) -> Words:
        """Take a name from an image; with its last name goes the image, unless a container stands on it.

        An id takes all its names, where there are several only with `force`. What no other image has goes, too, unless
        `noprune`. Returns docker's words: ``[{"Untagged": "x:1"}, {"Deleted": "sha256:…"}]``.

        Raises: NotFound, Conflict.
        """
        from labcontainer.engine import image_removal

        return image_removal.remove(self._engine, image, force=force, collect=not noprune)

    def prune(self, filters: filtering.Given = None) -> dict[str, Any]:
        """Remove images without a name; with ``dangling=false`` all on which no container stands.

        ``{"ImagesDeleted": [{"Deleted": "sha256:…"}, …], "SpaceReclaimed": bytes}``. Raises: UsageError.
        """
        from labcontainer.engine import image_removal

        return image_removal.prune(self._engine, filters)

    def load(self, data: bytes | BinaryIO) -> Loaded:
        """Take in every image of an archive (docker's or the OCI's, plain or compressed), with the names it has there.

        Raises: SpecError, DigestMismatch, NotFound (a part is missing).
        """
        from labcontainer.image import archive

        file = io.BytesIO(data) if isinstance(data, bytes) else data
        found: dict[Digest, Image] = {}
        for image, name in archive.load(self._engine.store, file):
            names = found[image.id].tags if image.id in found else ()
            found[image.id] = replace(image, tags=(*names, name) if name else names)
        for image in found.values():
            self.tell("load", image)
        return [*found.values()]

    def save(self, images: str | Sequence[str], chunk_size: int = _CHUNK_BYTES) -> Iterator[bytes]:
        """Images, with the names by which they are asked for, as the chunks of one archive. Raises: NotFound."""
        with tempfile.TemporaryFile(dir=self._engine.root) as file:
            self.save_to(images, file)
            file.seek(0)
            while chunk := file.read(chunk_size):
                yield chunk

    def save_to(self, images: str | Sequence[str], file: BinaryIO) -> None:
        """As `save`, into a file or pipe that is open for writing. Raises: NotFound, OSError."""
        from labcontainer.image import archive

        names = [images] if isinstance(images, str) else images
        wanted: dict[Digest, tuple[Image, list[str]]] = {}
        for name in names:
            image = self.get(name)
            _, named = wanted.setdefault(image.descriptor.digest, (image, []))
            # An id brings every name that leads to it.
            named += image.tags if _is_id(name, image) else (str(Reference.parse(name)),)
        archive.save(self._engine.store, [(image.descriptor, _once(tags)) for image, tags in wanted.values()], file)
        for image, _ in wanted.values():
            self.tell("save", image)

    def import_image(
        self, src: BinaryIO | Path | str, repository: str | None = None, tag: str | None = None,
        changes: Sequence[str] = (), message: str = "", platform: str | None = None,
    ) -> Image:  # fmt: skip
        """Make an image of one layer from the tar of a root file system, plain or compressed.

        Raises: UsageError, SpecError (no tar), NotFound (the file).
        """
        from labcontainer.engine import commit

        with contextlib.ExitStack() as opened:
            try:
                file = opened.enter_context(open(src, "rb")) if isinstance(src, str | Path) else src
            except FileNotFoundError:
                raise NotFound("file", str(src)) from None
            name = commit.reference(repository, tag)
            made = commit.from_root(self._engine, file, name, changes=changes, message=message, platform=platform)
        self.tell("import", made, name or "")
        return made

    def history(self, image: str) -> Steps:
        """How it came to be, the newest step first: Id, Created (RFC 3339), CreatedBy, Tags, Size, Comment.

        Raises: NotFound.
        """
        from labcontainer.engine import inspect_image

        return inspect_image.history(self.get(image))

    def tell(self, action: str, image: Image, name: str = "") -> None:
        """Write down, for ``lab events``, that `action` has happened to it."""
        attributes = {**image.config.config.labels, "name": name or next(iter(image.tags), str(image.id))}
        events.record(self._engine.root, action, str(image.id), attributes, type="image")


def _once(names: Sequence[str]) -> Sequence[str]:
    return list(dict.fromkeys(names))


def _is_id(name: str, image: Image) -> bool:
    digits = name.removeprefix("sha256:")
    if not image.id.hex.startswith(digits):
        return False
    with contextlib.suppress(LabError):
        return str(Reference.parse(name)) not in image.tags
    return True
