"""All that is known of an image under docker's field names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labcontainer.image.image import Image
from labcontainer.oci import fields
from labcontainer.oci.reference import Reference

if TYPE_CHECKING:
    from labcontainer.engine.engine import Engine


def image(engine: Engine, found: Image) -> dict[str, Any]:
    """One image. Raises: SpecError, KernelError (its layers could not be unpacked)."""
    config = found.config
    repositories = sorted({Reference.parse(tag).repository for tag in found.tags})
    return {
        "Id": str(found.id),
        "RepoTags": list(found.tags),
        "RepoDigests": [f"{repository}@{found.descriptor.digest}" for repository in repositories],
        "Parent": "",
        "Comment": next((one.comment for one in reversed(config.history) if one.comment), ""),
        "Created": config.created or "",
        "Author": config.author or "",
        "Config": _config(found),
        "Architecture": config.architecture,
        **({"Variant": config.variant} if config.variant else {}),
        "Os": config.os,
        "Size": found.size_bytes,
        "GraphDriver": {"Name": "overlay", "Data": _layers(engine, found)},
        "RootFS": {"Type": config.rootfs.type, "Layers": [str(diff_id) for diff_id in found.diff_ids]},
        "Descriptor": fields.write(found.descriptor),
    }


def _layers(engine: Engine, found: Image) -> dict[str, str]:
    stack = [str(path) for path in engine.snapshots.lowerdirs(found, engine.store)]
    names = {"UpperDir": stack[:1], "LowerDir": stack[1:]}
    return {name: ":".join(paths) for name, paths in names.items() if paths}


def _config(found: Image) -> dict[str, Any]:
    told = found.config.config
    return {
        "User": told.user or "",
        "ExposedPorts": dict(told.exposed_ports) or None,
        "Env": list(told.env) or None,
        "Cmd": list(told.cmd) or None,
        "Volumes": dict(told.volumes) or None,
        "WorkingDir": told.working_dir or "",
        "Entrypoint": list(told.entrypoint) or None,
        "Labels": dict(told.labels) or None,
        "StopSignal": told.stop_signal or "",
    }
