"""One image: an immutable view of a manifest and its configuration."""

from __future__ import annotations

from dataclasses import dataclass

from labcontainer.oci.digest import Digest
from labcontainer.oci.image_spec import Descriptor, ImageConfig, Manifest


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the store. `id` is its configuration's digest, as docker has it; `tags` are its references."""

    id: Digest
    tags: tuple[str, ...]
    manifest: Manifest
    config: ImageConfig

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The digests of the uncompressed layers, the lowest first."""
        return self.config.rootfs.diff_ids

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        """The layers' descriptors, the lowest first."""
        return self.manifest.layers

    @property
    def size_bytes(self) -> int:
        """The layers' size as they are stored."""
        return sum(layer.size for layer in self.layers)

    @property
    def created(self) -> str:
        """When it was made (RFC 3339); empty where the image does not say."""
        return self.config.created
