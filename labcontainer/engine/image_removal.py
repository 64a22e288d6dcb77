"""``rmi`` and ``image prune``: names first, then images, then the layers that nobody has any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from labcontainer.engine import filters as filtering
from labcontainer.engine import image_selection, selection
from labcontainer.engine import prune as pruning
from labcontainer.errors import Conflict, LabError, UsageError
from labcontainer.image.image import Image
from labcontainer.oci.reference import Reference
from labcontainer.runtime.life import Status

if TYPE_CHECKING:
    from labcontainer.engine.engine import Engine

_PRUNE = ("dangling", "until", "label", "label!")


def remove(engine: Engine, name: str, *, force: bool, collect: bool) -> list[dict[str, str]]:
    """See `Images.remove`."""
    image = engine.store.resolve(name)
    names = _meant(name, image)
    repositories = {Reference.parse(tag).repository for tag in names}
    if len(names) > 1 and len(repositories) > 1 and not force:
        raise Conflict("image", image.id.short, f"has several names ({', '.join(names)}); name one, or use force")
    last = set(image.tags) <= set(names)
    if last:
        _check_unused(engine, image, force=force, name=name)
    for tag in names:
        engine.store.untag(tag)
        engine.images.tell("untag", image, tag)
    done = [{"Untagged": tag} for tag in names]
    if not last:
        return done
    engine.store.unlist(image.descriptor.digest)
    engine.images.tell("delete", image)
    done.append({"Deleted": str(image.id)})
    if collect:
        engine.store.collect()
        done += [{"Deleted": f"sha256:{hex}"} for hex in pruning.layers(engine, all=False)["LayersDeleted"]]
    return done


def prune(engine: Engine, given: filtering.Given) -> dict[str, Any]:
    """See `Images.prune`."""
    wanted = filtering.parse(given, _PRUNE)
    every = _every(wanted)
    before_ns = pruning.until_ns(wanted)
    used = {id for id, _ in _users(engine)}
    done: list[dict[str, str]] = []
    for image in engine.store.images():
        made_ns = image_selection.made_at(image).timestamp() * 1e9
        if (image.tags and not every) or str(image.id) in used or made_ns >= before_ns:
            continue
        if wanted.labels(image.config.config.labels):
            done += [{"Untagged": tag} for tag in image.tags]
            engine.store.unlist(image.descriptor.digest)
            engine.images.tell("delete", image)
            done.append({"Deleted": str(image.id)})
    _, blob_bytes = engine.store.collect()
    layers = pruning.layers(engine, all=False)
    done += [{"Deleted": f"sha256:{hex}"} for hex in layers["LayersDeleted"]]
    return {"ImagesDeleted": done, "SpaceReclaimed": blob_bytes + layers["SpaceReclaimed"]}


def _meant(name: str, image: Image) -> list[str]:
    """The names that go: the one that was given, or, where an id was given, all."""
    try:
        reference = Reference.parse(name)
    except LabError:
        return list(image.tags)
    return [str(reference)] if str(reference) in image.tags else list(image.tags)


def _check_unused(engine: Engine, image: Image, *, force: bool, name: str) -> None:
    for id, container in _users(engine):
        if id != str(image.id):
            continue
        if container.state.status not in (Status.CREATED, Status.STOPPED):
            raise Conflict("image", name, f"is used by the running container {container.record.name}: stop it first")
        if not force:
            raise Conflict(
                "image", name, f"is used by the container {container.record.name}; remove that, or use force"
            )


def _users(engine: Engine) -> Iterator[tuple[str, Any]]:
    for each in selection.select(engine, all=True):
        yield each.record.image_id, each


def _every(wanted: filtering.Filters) -> bool:
    values = {text.lower() for text in wanted.of("dangling")}
    if not values <= {"true", "false", "1", "0"}:
        raise UsageError("filter", f"dangling={','.join(sorted(values))}", "choose true or false")
    return bool(values & {"false", "0"})
