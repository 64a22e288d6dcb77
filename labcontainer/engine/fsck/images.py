"""The image layout held against its own digests, and the unpacked layers against the images."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path

from labcontainer.engine import record
from labcontainer.engine.fsck.finding import Finding, quarantine
from labcontainer.errors import LabError, SpecError
from labcontainer.image import starter
from labcontainer.image.store import LAYOUT, Store
from labcontainer.kernel import tree
from labcontainer.oci import fields, media_types
from labcontainer.oci.descriptor import Descriptor
from labcontainer.oci.digest import Digest, new_hash
from labcontainer.oci.image_config import ImageConfig
from labcontainer.oci.manifest import Index, Manifest
from labcontainer.runtime.state import write_atomically

_CHUNK_BYTES = 1 << 20
_HEX = re.compile(r"[a-f0-9]{64}")


def findings(root: Path) -> Iterator[Finding]:
    """What is wrong with images/ and layers/ of the engine root."""
    images = root / "images"
    if images.is_dir():
        damaged = yield from _blobs(root, images)
        yield from _layout(root, images)
        yield from _index(root, images, damaged)
        yield from _partial(images / "partial", "a download that was cut off")
    yield from _layers(root)


def _blobs(root: Path, images: Path) -> Generator[Finding, None, set[str]]:
    """Hash every blob again; returns the digests of those that are not what they are called."""
    damaged: set[str] = set()
    for path in sorted((images / "blobs" / "sha256").glob("*")):
        if not _HEX.fullmatch(path.name) or not path.is_file() or path.is_symlink():
            problem = "is no blob: its name is no digest" if path.is_file() else "is no file"
            yield Finding(_name(root, path), problem, "it is put away", partial(quarantine, root, path))
        elif (actual := _hash(path)) != path.name:
            damaged.add(path.name)
            problem = f"is damaged: its content is sha256:{actual[:12]}…"
            remedy = f"it is put away; {_how_to_get_back('')}"
            yield Finding(_name(root, path), problem, remedy, partial(quarantine, root, path))
    return damaged


def _layout(root: Path, images: Path) -> Iterator[Finding]:
    path = images / "oci-layout"
    if not (images / "index.json").exists() and not path.exists():
        return  # nothing was ever stored
    try:
        version = fields.parse(path.read_bytes(), str(path))
        if isinstance(version, dict) and version.get("imageLayoutVersion") == "1.0.0":
            return
        problem = "does not say imageLayoutVersion 1.0.0"
    except (OSError, SpecError) as error:
        problem = f"cannot be read: {error.strerror if isinstance(error, OSError) else 'it is no JSON'}"
    yield Finding(_name(root, path), problem, "it is written anew", partial(write_atomically, path, LAYOUT.decode()))


def _index(root: Path, images: Path, damaged: set[str]) -> Iterator[Finding]:
    path = images / "index.json"
    try:
        index = Index.from_json(fields.parse(path.read_bytes(), str(path)))
    except FileNotFoundError:
        if any((images / "blobs" / "sha256").glob("*")):
            problem, remedy = "is missing: no image has a name", "the manifests that are here are listed again, unnamed"
            yield Finding(_name(root, path), problem, remedy, partial(_list_again, images))
        return
    except SpecError as error:
        remedy = "it is put away, and the manifests that are here are listed again, without their names"
        problem = f"is damaged: {str(error).removeprefix(f'{path}: ')}"
        yield Finding(_name(root, path), problem, remedy, partial(_list_again, images, instead_of=(root, path)))
        return
    make = functools.cache(lambda: starter.make(Store(images), starter.NAMES))  # once for all that lacks
    for descriptor in index.manifests:
        yield from _image(images, descriptor, damaged, make)


def _image(images: Path, descriptor: Descriptor, damaged: set[str], make: Callable[[], None]) -> Iterator[Finding]:
    """Whether all that an entry of the index leads to is here, and is what it should be."""
    name = f"image {descriptor.ref_name or descriptor.digest.short}"
    mend, remedy = (make if name.startswith("image lab/") else None), _how_to_get_back(name)
    try:
        for part, kind in _parts(images, descriptor):
            path = Store(images).blobs.path(part.digest)
            if part.digest.hex in damaged:
                yield Finding(name, f"its {kind} {part.digest.short} is damaged", remedy, mend)
            elif not path.exists():
                yield Finding(name, f"its {kind} {part.digest.short} is missing", remedy, mend)
            elif path.stat().st_size != part.size:
                problem = f"its {kind} {part.digest.short} has {path.stat().st_size} bytes instead of {part.size}"
                yield Finding(name, problem, "whoever made this manifest made it wrong: pull or build it again")
    except SpecError as error:
        yield Finding(name, f"breaks its specification: {error}", remedy)


def _parts(images: Path, descriptor: Descriptor, depth: int = 0) -> Iterator[tuple[Descriptor, str]]:
    """The descriptor and what it leads to, as far as that is here and whole. Raises: SpecError."""
    is_index = descriptor.media_type in media_types.INDEXES
    yield descriptor, "index" if is_index else "manifest"
    try:
        document = fields.parse(Store(images).blobs.read(descriptor), descriptor.digest.short)
    except LabError:
        return  # it was told of as missing or damaged
    if is_index:
        for below in Index.from_json(document).manifests if depth < 4 else ():
            if Store(images).blobs.has(below.digest):  # those for other machines need not be here
                yield from _parts(images, below, depth + 1)
        return
    if descriptor.media_type in media_types.MANIFESTS:
        manifest = Manifest.from_json(document)
        yield manifest.config, "config"
        yield from ((layer, "layer") for layer in manifest.layers)


def _layers(root: Path) -> Iterator[Finding]:
    layers = root / "layers"
    if not layers.is_dir():
        return
    for place in sorted(layers.iterdir()):
        if place.name != "partial" and (not _HEX.fullmatch(place.name) or not place.is_dir()):
            yield Finding(
                _name(root, place), "is no unpacked layer", "it is put away", partial(quarantine, root, place)
            )
    yield from _partial(layers / "partial", "a layer whose unpacking was cut off")
    known, whole = _known_layers(root)
    for place in sorted(layers.iterdir()):
        if whole and _HEX.fullmatch(place.name) and place.name not in known:
            problem = "belongs to no image and no container"
            yield Finding(_name(root, place), problem, "lab system prune removes it", harmless=True)


def _known_layers(root: Path) -> tuple[set[str], bool]:
    """The layers that images and containers lead to, and whether all of those could be read."""
    store, known, whole = Store(root / "images"), set(), True
    with contextlib.suppress(LabError, OSError):
        known = {diff_id.hex for image in store.images() for diff_id in image.diff_ids}
    for directory in (root / "containers").glob("*"):
        try:
            known |= {Path(lowerdir).name for lowerdir in record.read_request(directory).lowerdirs}
        except (LabError, OSError):
            whole = False
    return known, whole


def _partial(directory: Path, what: str) -> Iterator[Finding]:
    """What was on its way in; who is at it holds the directory, or the thing itself."""
    if not directory.is_dir() or _held(directory):
        return
    for path in sorted(directory.iterdir()):
        if not path.is_dir() or not _held(path):
            subject = f"{directory.parent.name}/partial/{path.name[:12]}"
            yield Finding(subject, f"is {what}", "it is removed: the next one begins anew", partial(_remove, path))


def _held(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _remove(path: Path) -> None:
    tree.remove_path(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def _hash(path: Path) -> str:
    digest = new_hash()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return str(digest.hexdigest())


def _list_again(images: Path, instead_of: tuple[Path, Path] | None = None) -> None:
    """Find the manifests of whole images among the blobs, and list them without a name."""
    if instead_of:
        quarantine(*instead_of)
    store = Store(images)
    for path in sorted((images / "blobs" / "sha256").glob("*")):
        with contextlib.suppress(LabError, OSError):
            descriptor = Descriptor(media_types.MANIFEST, Digest("sha256", path.name), path.stat().st_size)
            manifest = Manifest.from_json(fields.parse(store.blobs.read(descriptor), path.name))
            config = fields.parse(store.blobs.read(manifest.config), "config")
            ImageConfig.from_json(config)
            store.tag(descriptor, None)


def _how_to_get_back(image: str) -> str:
    if image.startswith("image lab/"):
        return "it is made again from this machine's files"
    return "put the same bytes there again, with skopeo or by a build; containers that have it unpacked go on"


def _name(root: Path, path: Path) -> str:
    return str(path.relative_to(root))
