"""A bundle: a directory with config.json and a root file system, all that an OCI runtime needs.

bundle/
├── config.json
└── rootfs/
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from labcontainer.errors import SpecError
from labcontainer.oci import fields
from labcontainer.oci.runtime_spec import Spec

CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class Bundle:
    """The bundle at `path`. See: runtime-spec v1.2.0 bundle.md"""

    path: Path

    @property
    def rootfs(self) -> Path:
        """The root file system as our own bundles lay it out. See: runtime-spec v1.2.0 bundle.md"""
        return self.path / "rootfs"

    def read(self) -> Spec:
        """The checked configuration.

        Raises: SpecError (no config.json, no JSON, not the specification's). See: runtime-spec v1.2.0 bundle.md
        """
        file = self.path / CONFIG
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            raise SpecError(f"{self.path} is no bundle: it has no {CONFIG}") from None
        return Spec.from_json(fields.parse(data, str(file)))

    def write(self, spec: Spec) -> None:
        """Put `spec` into the bundle, whole or not at all. Raises: OSError. See: runtime-spec v1.2.0 bundle.md"""
        config = self.path / CONFIG
        beside(config).write_text(json.dumps(spec.to_json()))
        os.replace(beside(config), config)


def beside(path: Path) -> Path:
    """Where a file is written before it takes the place of `path`: one place, so that the killed leave one file.

    See: man 2 rename
    """
    return path.with_name(f".{path.name}.new")
