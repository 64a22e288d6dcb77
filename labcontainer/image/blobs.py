"""Content on disk under its own digest: the part of an image layout that only ever grows.

    images/
    ├── blobs/sha256/<hex>    one file for each piece of content
    └── partial/              content on its way in, gone when its writer is

A blob appears by rename, complete and verified, or not at all. What a killed writer has left in ``partial`` is
recognised by its lock: every writer holds a shared one on that directory, so who gets the exclusive one is alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from labcontainer.errors import DigestMismatch, NotFound, SpecError
from labcontainer.oci.descriptor import Descriptor
from labcontainer.oci.digest import Digest, new_hash

# Manifests and configs are read whole; registries refuse to serve larger ones.
LARGEST_DOCUMENT_BYTES = 4 << 20


class Writer:
    """Takes content in and hashes it; `digest` and `size` are what was written so far."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = new_hash()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Take `data` in. Raises: OSError."""
        self._hash.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Nothing to do: the store flushes when all is there (gzip asks for this method)."""

    @property
    def digest(self) -> Digest:
        """The digest of what was written so far."""
        return Digest("sha256", self._hash.hexdigest())


class Blobs:
    """The blobs of the image layout at `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, digest: Digest) -> Path:
        """Where the content of `digest` is, if it is here. See: image-spec v1.1.0 image-layout.md#blobs"""
        return self._root / "blobs" / digest.algorithm / digest.hex

    def has(self, digest: Digest) -> bool:
        """Whether the content is here."""
        return self.path(digest).is_file()

    def keep(self, digest: Digest) -> bool:
        """Whether the content is here; if so, a lease that began before spares it. See `image.lease`."""
        try:
            os.utime(self.path(digest))
        except FileNotFoundError:
            return False
        return True

    def all(self) -> Iterator[tuple[Digest, Path]]:
        """Every blob that is here. What has another name than a digest is none of ours, and left out."""
        with contextlib.suppress(FileNotFoundError):
            for algorithm in sorted(os.listdir(self._root / "blobs")):
                for name in sorted(os.listdir(self._root / "blobs" / algorithm)):
                    with contextlib.suppress(SpecError):
                        digest = Digest.parse(f"{algorithm}:{name}")
                        yield digest, self.path(digest)

    def add(self, media_type: str, chunks: Iterable[bytes], *, expected: Digest | None = None) -> Descriptor:
        """Store content. Success means: it is on disk, whole, under its own digest; adding it twice is no error.

        Raises: DigestMismatch where it is not the `expected` (nothing is stored then), OSError.
        """
        with self.writer(expected=expected) as writer:
            for chunk in chunks:
                writer.write(chunk)
        return Descriptor(media_type, writer.digest, writer.size)

    @contextlib.contextmanager
    def writer(self, *, expected: Digest | None = None) -> Iterator[Writer]:
        """As `add`, but written piece by piece; what is in it when the block ends without error is kept."""
        import tempfile  # brings much along, and a run only reads

        with self._partial() as directory, tempfile.NamedTemporaryFile(dir=directory, delete=False) as file:
            try:
                writer = Writer(cast(BinaryIO, file))
                yield writer
                if expected is not None and writer.digest != expected:
                    raise DigestMismatch(str(expected), str(writer.digest))
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
                place = self.path(writer.digest)
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file.name, place)
                sync_directory(place.parent)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(file.name)
                raise

    def open(self, digest: Digest) -> BinaryIO:
        """The content of `digest`, which the caller closes. Raises: NotFound (kind "blob")."""
        try:
            return open(self.path(digest), "rb")
        except FileNotFoundError:
            raise NotFound("blob", str(digest)) from None

    def read(self, descriptor: Descriptor) -> bytes:
        """A document (manifest, index, config), verified.

        Raises: NotFound (kind "blob"), DigestMismatch, SpecError (too large to be a document).
        """
        if descriptor.size > LARGEST_DOCUMENT_BYTES:
            raise SpecError(f"{descriptor.digest}: a document of {descriptor.size} bytes is too large")
        with self.open(descriptor.digest) as file:
            return descriptor.digest.verify(file.read(LARGEST_DOCUMENT_BYTES))

    @contextlib.contextmanager
    def _partial(self) -> Iterator[Path]:
        directory = self._root / "partial"
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for left in os.listdir(fd):
                    os.unlink(left, dir_fd=fd)
            fcntl.flock(fd, fcntl.LOCK_SH)
            yield directory
        finally:
            os.close(fd)


def sync_directory(directory: Path) -> None:
    """Make a rename in `directory` last through a power failure. Raises: OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
