"""Descriptors: how one piece of content points at another.

{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:…", "size": 1234}
"""

from __future__ import annotations

import platform as machine
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labcontainer.errors import SpecError
from labcontainer.oci import fields
from labcontainer.oci.digest import Digest

REF_NAME = "org.opencontainers.image.ref.name"

# What uname(2) calls an architecture, and what Go, and so the specification, calls it.
_GOARCH = {
    "x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386", "ppc64le": "ppc64le",
    "riscv64": "riscv64", "s390x": "s390x", "loongarch64": "loong64",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Platform:
    """The machine an image runs on. See: image-spec v1.1.0 image-index.md#image-index-property-descriptions"""

    architecture: str
    os: str
    os_version: str | None = field(default=None, metadata={"key": "os.version"})
    os_features: tuple[str, ...] = field(default=(), metadata={"key": "os.features"})
    variant: str | None = None

    @classmethod
    def host(cls) -> Platform:
        """This machine. See: https://go.dev/doc/install/source#environment"""
        name = machine.machine()
        return cls(_GOARCH.get(name, name), "linux")

    def runs_on(self, host: Platform) -> bool:
        """Whether `host` has this operating system and architecture; the variant is not compared.

        See: image-spec v1.1.0 image-index.md#image-index-property-descriptions
        """
        return (self.os, self.architecture) == (host.os, host.architecture)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What content is, how it is named, how many bytes it has. See: image-spec v1.1.0 descriptor.md#properties"""

    media_type: str
    digest: Digest
    size: int
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    data: str | None = None
    artifact_type: str | None = None
    platform: Platform | None = None

    @property
    def ref_name(self) -> str | None:
        """What the content is called where it lies.
        See: image-spec v1.1.0 annotations.md#pre-defined-annotation-keys"""
        return self.annotations.get(REF_NAME)

    @classmethod
    def from_json(cls, value: object) -> Descriptor:
        """Parsed JSON as a checked `Descriptor`. Raises: SpecError. See: image-spec v1.1.0 descriptor.md"""
        return fields.read(cls, value, "descriptor")

    def __post_init__(self) -> None:
        if self.size < 0:
            raise SpecError(f"descriptor of {self.digest}: size: {self.size} is less than nothing")

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes. See: image-spec v1.1.0 descriptor.md#examples"""
        return dict(fields.write(self))
