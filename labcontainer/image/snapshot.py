"""Layers unpacked, each once, shared by all images that have it: what the overlay stacks.

    layers/
    ├── <hex of the diff_id>/           a layer's files, never changed again
    └── partial/<hex of the diff_id>/   a layer on its way in

A layer appears by rename, whole or not at all. Whoever unpacks holds a lock on the partial directory *itself*: the lock
goes with its process, and the next one finds the rest of a killed one free to be cleared.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from labcontainer.image.image import Image
from labcontainer.image.store import Store
from labcontainer.kernel import tree
from labcontainer.oci.descriptor import Descriptor
from labcontainer.oci.digest import Digest

_LAYER = re.compile(r"[a-f0-9]{64,128}")


class Snapshots:
    """The unpacked layers under `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def lowerdirs(self, image: Image, store: Store) -> tuple[Path, ...]:
        """The image's layers as directories, topmost first; what is missing is unpacked now.

        Raises: UnsafeLayer, SpecError, DigestMismatch (a layer is not its diff_id), NotFound (kind "blob"),
        KernelError.
        """
        found = []
        for layer, diff_id in zip(image.layers, image.diff_ids, strict=True):
            place = self.root / diff_id.hex
            if not os.path.isdir(place):
                self._unpack(layer, diff_id, place, store)
            found.append(place)
        return tuple(reversed(found))

    def unpacked(self) -> list[Path]:
        """The directories of all layers that are here, whole."""
        if not self.root.exists():
            return []
        return sorted(place for place in self.root.iterdir() if _LAYER.fullmatch(place.name) and place.is_dir())

    def forget(self, place: Path) -> None:
        """Remove one of `unpacked`, on which no overlay stands; nobody ever sees half of it. Raises: OSError."""
        grave = self.root / "partial" / f"{place.name}.removed"
        tree.remove_path(grave)
        grave.parent.mkdir(exist_ok=True)
        os.rename(place, grave)
        tree.remove_path(grave)

    def _unpack(self, layer: Descriptor, diff_id: Digest, place: Path, store: Store) -> None:
        partial = self.root / "partial" / diff_id.hex
        # Programs that run as another user when started are in there: nobody else may pass.
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _held(partial, place) as ours:
            if not ours:
                return
            try:
                # Imported here: a container's start finds its layers unpacked, and need not wait for tarfile.
                from labcontainer.image import unpack

                partial.chmod(0o755)  # the container's / where the layer says nothing else, whatever the umask is
                with store.open_blob(layer.digest) as blob:
                    unpack.apply(blob, partial, diff_id=diff_id)
                os.rename(partial, place)
            except BaseException:
                with contextlib.suppress(OSError):
                    tree.remove_path(partial)
                raise


@contextlib.contextmanager
def _held(partial: Path, place: Path) -> Iterator[bool]:
    """Hold the empty directory `partial` alone; False when `place` came to be while we waited."""
    while True:
        partial.mkdir(parents=True, exist_ok=True)
        try:
            fd = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if place.exists():
                with contextlib.suppress(OSError):
                    partial.rmdir()
                yield False
                return
            if _is(fd, partial):
                for left in os.listdir(fd):
                    _remove(fd, left)
                yield True
                return
        finally:
            os.close(fd)


def _is(fd: int, path: Path) -> bool:
    # While we waited for the lock its holder may have moved or removed the directory.
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _remove(directory: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except IsADirectoryError:
        tree.remove(directory, name)
