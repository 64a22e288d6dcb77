"""The image specification: descriptor, manifest, index and configuration.

    index ──► manifest ──► config      what to run, and the diff_ids of the layers unpacked
                  └──────► layers      archives, the lowest first
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from labcontainer.errors import SpecError
from labcontainer.oci import fields
from labcontainer.oci.digest import Digest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
REF_NAME = "org.opencontainers.image.ref.name"

T = TypeVar("T", bound=object)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A pointer to content: its kind, digest and size in bytes. See: image-spec v1.1.0 descriptor.md"""

    media_type: str
    digest_text: str = field(metadata={"key": "digest"})
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> Digest:
        """The digest, checked. Raises: SpecError. See: image-spec v1.1.0 descriptor.md#digests"""
        return Digest.parse(self.digest_text)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image for one platform. See: image-spec v1.1.0 manifest.md"""

    schema_version: int
    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str = MANIFEST
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Index:
    """Several manifests; also the content of a layout's index.json. See: image-spec v1.1.0 image-index.md"""

    schema_version: int
    manifests: tuple[Descriptor, ...] = ()
    media_type: str = INDEX
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Execution:
    """How a container of the image starts. See: image-spec v1.1.0 config.md#properties (config)"""

    user: str = field(default="", metadata={"key": "User"})
    env: tuple[str, ...] = field(default=(), metadata={"key": "Env"})
    entrypoint: tuple[str, ...] = field(default=(), metadata={"key": "Entrypoint"})
    cmd: tuple[str, ...] = field(default=(), metadata={"key": "Cmd"})
    working_dir: str = field(default="", metadata={"key": "WorkingDir"})
    labels: Mapping[str, str] = field(default_factory=dict, metadata={"key": "Labels"})
    stop_signal: str = field(default="", metadata={"key": "StopSignal"})


@dataclass(frozen=True, slots=True)
class Rootfs:
    """The digests of the layers' archives uncompressed, the lowest first. See: image-spec v1.1.0 config.md#properties"""

    type: str
    diff_ids: tuple[str, ...] = field(metadata={"key": "diff_ids"})


@dataclass(frozen=True, slots=True)
class History:
    """What made a layer, or nothing. See: image-spec v1.1.0 config.md#properties (history)"""

    created: str = ""
    created_by: str = field(default="", metadata={"key": "created_by"})
    comment: str = ""
    empty_layer: bool = field(default=False, metadata={"key": "empty_layer"})


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """An image's configuration; its digest is the image's id. See: image-spec v1.1.0 config.md"""

    architecture: str
    os: str
    rootfs: Rootfs
    config: Execution = field(default_factory=Execution)
    created: str = ""
    history: tuple[History, ...] = ()


def parse(cls: type[T], data: bytes, where: str) -> T:
    """JSON bytes that others wrote as a checked `cls`. Raises: SpecError. See: image-spec v1.1.0 manifest.md"""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{where}: {error}") from None
    return fields.read(cls, value, where)


def dump(value: object) -> bytes:
    """The bytes that are stored: JSON, the same for the same value. See: image-spec v1.1.0 considerations.md"""
    return json.dumps(fields.write(value), sort_keys=True, separators=(",", ":")).encode()


def chain_ids(diff_ids: tuple[str, ...]) -> tuple[Digest, ...]:
    """For each layer the digest of it and all below it. See: image-spec v1.1.0 config.md#layer-chainid"""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        own = Digest.parse(diff_id)
        chain.append(Digest.of(f"{chain[-1]} {own}".encode()) if chain else own)
    return tuple(chain)
