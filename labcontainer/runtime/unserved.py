"""What a bundle may ask for and this runtime does not do: it is refused, for somebody may rely on it.

See: runtime-spec v1.2.0 config.md, config-linux.md
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labcontainer.errors import SpecError
from labcontainer.oci import fields
from labcontainer.oci.bundle import CONFIG

_PROCESS = ("apparmorProfile", "selinuxLabel")
_LINUX = ("mountLabel", "intelRdt", "netDevices")
_PROPAGATIONS = ("private", "slave", "shared", "unbindable")


def refuse(bundle: Path) -> None:
    """Raises: SpecError that names the first thing in the bundle's config which is not done here."""
    try:
        config = fields.parse((bundle / CONFIG).read_bytes(), str(bundle / CONFIG))
    except FileNotFoundError:
        return  # who reads the bundle says so
    if not isinstance(config, Mapping):
        return
    for name, keys in (("process", _PROCESS), ("linux", _LINUX)):
        part = _object(config.get(name))
        for key in keys:
            if part.get(key):
                raise SpecError(f"config.{name}.{key}: this runtime does not serve it; leave it out")
    propagation = _object(config.get("linux")).get("rootfsPropagation", "")
    if propagation and str(propagation).removeprefix("r") not in _PROPAGATIONS:
        raise SpecError(f"config.linux.rootfsPropagation: {propagation!r} is none of {', '.join(_PROPAGATIONS)}")
    for index, mount in enumerate(config.get("mounts") or ()):
        if _object(mount).get("uidMappings") or _object(mount).get("gidMappings"):
            raise SpecError(f"config.mounts[{index}]: id-mapped mounts are not served")


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
