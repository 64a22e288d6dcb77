"""An image's config: how it wants to be run, which layers it stands on, and how it came to be.

    {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=…"], "Cmd": ["sh"]},
     "rootfs": {"type": "layers", "diff_ids": ["sha256:…"]}, "history": [{"created_by": "…"}]}

The digest of these bytes is the image's id. Docker's HEALTHCHECK, SHELL and ONBUILD are kept,
though the specification only mentions them. Left out: Windows' fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from labcontainer.errors import SpecError
from labcontainer.oci import fields
from labcontainer.oci.digest import Digest

# Go writes nanoseconds, Python reads at most microseconds.
_BEYOND_MICROSECONDS = re.compile(r"(\.\d{6})\d+")


@dataclass(frozen=True, slots=True)
class Execution:
    """What a container of the image starts with where nothing else is said.

    See: image-spec v1.1.0 config.md#properties (config)
    """

    user: str | None = field(default=None, metadata={"key": "User"})
    exposed_ports: Mapping[str, Any] = field(default_factory=dict, metadata={"key": "ExposedPorts"})
    env: tuple[str, ...] = field(default=(), metadata={"key": "Env"})
    entrypoint: tuple[str, ...] = field(default=(), metadata={"key": "Entrypoint"})
    cmd: tuple[str, ...] = field(default=(), metadata={"key": "Cmd"})
    volumes: Mapping[str, Any] = field(default_factory=dict, metadata={"key": "Volumes"})
    working_dir: str | None = field(default=None, metadata={"key": "WorkingDir"})
    labels: Mapping[str, str] = field(default_factory=dict, metadata={"key": "Labels"})
    stop_signal: str | None = field(default=None, metadata={"key": "StopSignal"})
    healthcheck: Mapping[str, Any] | None = field(default=None, metadata={"key": "Healthcheck"})
    shell: tuple[str, ...] = field(default=(), metadata={"key": "Shell"})
    on_build: tuple[str, ...] = field(default=(), metadata={"key": "OnBuild"})


@dataclass(frozen=True, slots=True)
class RootFs:
    """The layers, by the digests of their uncompressed tars. See: image-spec v1.1.0 config.md#properties (rootfs)"""

    type: str
    diff_ids: tuple[Digest, ...] = field(metadata={"key": "diff_ids"})


@dataclass(frozen=True, slots=True)
class History:
    """What made a layer, or with `empty_layer` changed the config alone.

    See: image-spec v1.1.0 config.md#properties (history)
    """

    created: str | None = None
    created_by: str | None = field(default=None, metadata={"key": "created_by"})
    author: str | None = None
    comment: str | None = None
    empty_layer: bool = field(default=False, metadata={"key": "empty_layer"})


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The whole document. See: image-spec v1.1.0 config.md#properties"""

    architecture: str
    os: str
    rootfs: RootFs
    created: str | None = None
    author: str | None = None
    variant: str | None = None
    config: Execution = field(default_factory=Execution)
    history: tuple[History, ...] = ()

    @property
    def created_at(self) -> datetime | None:
        """When the image was made; None where it does not say, or not as RFC 3339 asks.

        See: image-spec v1.1.0 config.md#properties (created)
        """
        try:
            then = datetime.fromisoformat(_BEYOND_MICROSECONDS.sub(r"\1", self.created or ""))
        except ValueError:
            return None
        return then if then.tzinfo else then.replace(tzinfo=UTC)

    @property
    def chain_ids(self) -> tuple[Digest, ...]:
        """For each layer the digest of it *and* everything below: what a snapshot of the stack is called.

        See: image-spec v1.1.0 config.md#layer-chainid
        """
        found: list[Digest] = []
        for diff_id in self.rootfs.diff_ids:
            found.append(Digest.of(f"{found[-1]} {diff_id}".encode()) if found else diff_id)
        return tuple(found)

    @classmethod
    def from_json(cls, value: object) -> ImageConfig:
        """Parsed JSON as a checked `ImageConfig`. Raises: SpecError. See: image-spec v1.1.0 config.md"""
        config = fields.read(cls, value, "image")
        if config.rootfs.type != "layers":
            raise SpecError(f"image.rootfs.type: expected 'layers', found {config.rootfs.type[:80]!r}")
        return config

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes. See: image-spec v1.1.0 config.md#example"""
        return dict(fields.write(self))
