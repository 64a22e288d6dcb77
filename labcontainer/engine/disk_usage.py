"""``engine.df()``: what an engine root takes up on the disk, and what of it nobody needs.

    image ──► blobs/sha256/<hex>   its index, manifest, config and layers, compressed   } parts: what two images
          ──► layers/<diff_id>     its layers, unpacked, once a container has asked      } share is there once

The sizes are read from the file system. docker's field names, with these meanings: ``Size`` of an image is the sum of
its parts, ``SharedSize`` of those that another image has, too. ``LayersSize`` is all that is in images/ and layers/,
also what no image leads to any more.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labcontainer.engine import selection, sizes
from labcontainer.engine.summary import Summary
from labcontainer.image.image import Image
from labcontainer.runtime import log

if TYPE_CHECKING:
    from labcontainer.engine.engine import Engine

Parts = Mapping[Path, int]


def usage(engine: Engine) -> dict[str, Any]:
    """All of it, in the shape of docker's ``/system/df``. Raises: SpecError (a damaged index.json)."""
    containers = selection.select(engine, all=True)
    images = [(image, parts(engine, image)) for image in engine.store.images()]
    return {
        "LayersSize": sizes.tree_bytes(engine.store.root) + sizes.tree_bytes(engine.snapshots.root),
        "Images": _images(images, Counter(each.record.image_id for each in containers)),
        "Containers": [_container(engine, each) for each in containers],
        "Volumes": [],
        "BuildCache": [_kept(path) for path in cached(engine.root)],
    }


def reclaimable_bytes(engine: Engine, used: Mapping[str, Any]) -> dict[str, int]:
    """What could be had back of images, containers and the cache of `used` (from `usage`), by docker's names."""
    active = {image["Id"] for image in used["Images"] if image["Containers"]}
    needed: dict[Path, int] = {}
    for image in engine.store.images():
        if str(image.id) in active:
            needed.update(parts(engine, image))
    idle = (each["SizeRw"] for each in used["Containers"] if each["State"] != "running")
    return {
        "Images": max(0, used["LayersSize"] - sum(needed.values())),
        "Containers": sum(idle),
        "Local Volumes": 0,
        "Build Cache": sum(each["Size"] for each in used["BuildCache"]),
    }


def parts(engine: Engine, image: Image) -> Parts:
    """What of the disk an image is: a file or directory, and its bytes."""
    blobs = {image.descriptor.digest, image.id, *(layer.digest for layer in image.layers)}
    found = {}
    for path in map(engine.store.blobs.path, blobs):
        with contextlib.suppress(OSError):
            found[path] = os.stat(path).st_size
    for diff_id in set(image.diff_ids):
        layer = engine.snapshots.root / diff_id.hex
        if layer.is_dir():
            found[layer] = sizes.tree_bytes(layer)
    return found


def cached(root: Path) -> list[Path]:
    """The files that are kept only to be quick: compiled seccomp filters."""
    return sorted(path for path in (root / "cache").glob("*") if path.is_file())


def _images(images: Sequence[tuple[Image, Parts]], containers: Counter[str]) -> list[dict[str, Any]]:
    had = Counter(path for _, those in images for path in those)
    return [
        {
            "Id": str(image.id),
            "ParentId": "",
            "RepoTags": list(image.tags),
            "RepoDigests": [],
            "Created": int(image.created.timestamp()) if image.created else 0,
            "Size": sum(those.values()),
            "SharedSize": sum(size for path, size in those.items() if had[path] > 1),
            "VirtualSize": sum(those.values()),
            "Labels": dict(image.config.config.labels),
            "Containers": containers[str(image.id)],
        }
        for image, those in images
    ]


def _container(engine: Engine, each: Summary) -> dict[str, Any]:
    written, whole = sizes.container_bytes(engine, each)
    return {
        "Id": each.id,
        "Names": [f"/{each.record.name}"],
        "Image": each.record.image,
        "ImageID": each.record.image_id,
        "Command": " ".join(each.record.command),
        "Created": each.record.created_ns // 10**9,
        "Ports": [],
        "SizeRw": written,
        "SizeRootFs": whole,
        "Labels": dict(each.record.labels),
        "State": each.status,
        "Mounts": each.mounts(),
    }


def _kept(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {
        "ID": path.stem.removeprefix("seccomp-"),
        "Type": "seccomp.filter",
        "Description": "a seccomp policy, compiled",
        "InUse": False,
        "Shared": True,
        "Size": status.st_size,
        "CreatedAt": log.timestamp(status.st_mtime_ns),
        "LastUsedAt": log.timestamp(status.st_atime_ns),
        "UsageCount": 0,
    }
