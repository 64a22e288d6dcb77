"""One image of a store: what its manifest and its config say, never changing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from labcontainer.oci.descriptor import Descriptor
from labcontainer.oci.digest import Digest
from labcontainer.oci.image_config import ImageConfig
from labcontainer.oci.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Image:
    """An immutable view. `descriptor` names the manifest, `tags` are the references that lead here
    (``lab/base:latest``)."""

    descriptor: Descriptor
    manifest: Manifest
    config: ImageConfig
    tags: tuple[str, ...] = ()

    @property
    def id(self) -> Digest:
        """The digest of the config, as docker has it: the same files and the same settings give the same id."""
        return self.manifest.config.digest

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        """The layers as they are stored and sent, the lowest first."""
        return self.manifest.layers

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """The layers by the digest of their uncompressed tars, the lowest first."""
        return self.config.rootfs.diff_ids

    @property
    def chain_ids(self) -> tuple[Digest, ...]:
        """For each layer, the digest of it and everything below. See: image-spec v1.1.0 config.md#layer-chainid"""
        return self.config.chain_ids

    @property
    def created(self) -> datetime | None:
        """When it was made; None where it does not say."""
        return self.config.created_at

    @property
    def size_bytes(self) -> int:
        """The layers as they are stored: compressed, and counted again where images share them."""
        return sum(layer.size for layer in self.manifest.layers)
