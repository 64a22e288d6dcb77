"""Layers unpacked, each once, shared by all images that have it: what the overlay stacks.

    layers/<hex of the diff_id>/diff
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from labcontainer.errors import SpecError
from labcontainer.image import unpack
from labcontainer.image.image import Image
from labcontainer.image.store import Store
from labcontainer.oci.digest import Digest
from labcontainer.oci.image_spec import Descriptor


class Snapshots:
    """The unpacked layers under `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def lowerdirs(self, image: Image, store: Store) -> tuple[Path, ...]:
        """The image's layers as directories, topmost first; what is missing is unpacked now.

        A layer appears whole or not at all, and once, however many processes ask for it.

        Raises: UnsafeLayer, SpecError, NotFound (a blob is missing).
        """
        if len(image.layers) != len(image.diff_ids):
            raise SpecError(f"image {image.id}: {len(image.layers)} layers, but {len(image.diff_ids)} diff_ids")
        pairs = zip(image.layers, image.diff_ids, strict=True)
        return tuple(self._layer(layer, Digest.parse(diff_id), store) for layer, diff_id in pairs)[::-1]

    def _layer(self, layer: Descriptor, diff_id: Digest, store: Store) -> Path:
        place = self.root / diff_id.hex
        if not place.exists():
            self.root.mkdir(parents=True, exist_ok=True, mode=0o711)
            with self._locked():
                if not place.exists():
                    self._unpack(layer, place, store)
        return place / "diff"

    def _unpack(self, layer: Descriptor, place: Path, store: Store) -> None:
        beside = Path(tempfile.mkdtemp(dir=self.root, prefix=".unpacking-"))
        try:
            (beside / "diff").mkdir(mode=0o755)
            with store.open_blob(layer.digest) as archive:
                unpack.apply(archive, beside / "diff")
            os.chmod(beside, 0o755)
            os.replace(beside, place)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fd = os.open(self.root / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            for left in self.root.glob(".unpacking-*"):  # whoever made it held the lock, so it is gone
                shutil.rmtree(left, ignore_errors=True)
            yield
        finally:
            os.close(fd)
