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


def history(found: Image) -> list[dict[str, Any]]:
    """docker's history: the newest step first; the id and the names stand at the newest, steps without files have 0.

    The sizes are those of the layers as they are stored.
    """
    layers = list(found.layers)
    steps = []
    for step in found.config.history:
        size_bytes = layers.pop(0).size if not step.empty_layer and layers else 0
        steps.append(_step(step.created, step.created_by, step.comment, size_bytes))
    # An image need not tell its history: what is left has files all the same.
    steps += [_step(None, None, None, layer.size) for layer in layers]
    if steps:
        steps[-1] |= {"Id": str(found.id), "Tags": list(found.tags) or None}
    return steps[::-1]


def _step(created: str | None, created_by: str | None, comment: str | None, size_bytes: int) -> dict[str, Any]:
    return {
        "Id": "<missing>",
        "Created": created or "",
        "CreatedBy": created_by or "",
        "Tags": None,
        "Size": size_bytes,
        "Comment": comment or "",
    }
