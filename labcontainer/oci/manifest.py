"""Manifests and indexes: what an image consists of, and which image is for which machine.

    index ──► manifest (linux/amd64) ──► config
        └───► manifest (linux/arm64)  ├► layer
                                      └► layer

All arrows are digests: who knows the digest on the left can check everything on the right. Lesson 05 teaches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labcontainer.errors import SpecError
from labcontainer.oci import fields, media_types
from labcontainer.oci.descriptor import Descriptor


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image: its config and its layers, the lowest first. See: image-spec v1.1.0 manifest.md"""

    schema_version: int
    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str | None = None
    artifact_type: str | None = None
    subject: Descriptor | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: object) -> Manifest:
        """Parsed JSON as a checked `Manifest`. Raises: SpecError. See: image-spec v1.1.0 manifest.md"""
        _check_kind(value, "manifest", forbidden=("manifests",), allowed=media_types.MANIFESTS)
        return fields.read(cls, value, "manifest")

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes. See: image-spec v1.1.0 manifest.md#example-image-manifest"""
        return dict(fields.write(self))


@dataclass(frozen=True, slots=True)
class Index:
    """Several manifests (or further indexes), each with the platform or name it is for.

    See: image-spec v1.1.0 image-index.md
    """

    schema_version: int
    manifests: tuple[Descriptor, ...]
    media_type: str | None = None
    artifact_type: str | None = None
    subject: Descriptor | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: object) -> Index:
        """Parsed JSON as a checked `Index`. Raises: SpecError. See: image-spec v1.1.0 image-index.md"""
        _check_kind(value, "index", forbidden=("config", "layers"), allowed=media_types.INDEXES)
        return fields.read(cls, value, "index")

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes. See: image-spec v1.1.0 image-index.md#example-image-index"""
        return dict(fields.write(self))


def _check_kind(value: object, kind: str, *, forbidden: tuple[str, ...], allowed: frozenset[str]) -> None:
    # The same bytes must not be an index to one reader and a manifest to another (CVE-2021-41190).
    if not isinstance(value, Mapping):
        return  # fields.read says so, in the same words as everywhere
    version = value.get("schemaVersion")
    if version != 2:
        raise SpecError(f"{kind}.schemaVersion: expected 2, found {str(version)[:20]}")
    for key in forbidden:
        if value.get(key) is not None:
            raise SpecError(f"{kind}.{key}: has no place here: the content could be read as two different things")
    given = value.get("mediaType")
    if isinstance(given, str) and given not in allowed:
        raise SpecError(f"{kind}.mediaType: {given[:80]!r} is not a media type of this kind")
