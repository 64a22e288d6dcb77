"""Which images are listed, and in which order."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from labcontainer.engine import filters as filtering
from labcontainer.engine.filters import Filters
from labcontainer.engine.when import nanoseconds
from labcontainer.errors import UsageError
from labcontainer.image.image import Image
from labcontainer.oci.reference import Reference

if TYPE_CHECKING:
    from labcontainer.engine.engine import Engine

FILTERS = ("dangling", "label", "label!", "before", "since", "reference", "until")
_EPOCH = datetime.fromtimestamp(0, UTC)


def select(engine: Engine, name: str | None, given: filtering.Given) -> list[Image]:
    """See `Images.list`."""
    wanted = filtering.parse(given, FILTERS)
    tests = [_dangling(wanted), _labels(wanted), _times(engine, wanted)]
    found = [image for image in engine.store.images() if all(test(image) for test in tests)]
    if name is not None:
        found = _narrowed(found, lambda tag: named(name, tag))
    if patterns := wanted.of("reference"):
        found = _narrowed(found, lambda tag: any(matches(each, tag) for each in patterns))
    return sorted(found, key=made_at, reverse=True)


def _narrowed(images: Iterable[Image], means: Callable[[str], bool]) -> list[Image]:
    """Those that have such a name, with such names alone."""
    kept = [replace(image, tags=tuple(tag for tag in image.tags if means(tag))) for image in images]
    return [image for image in kept if image.tags]


def made_at(image: Image) -> datetime:
    """When it was made; of one that does not say, the beginning of time."""
    return image.created or _EPOCH


def matches(pattern: str, tag: str) -> bool:
    """Whether a ``reference`` filter means `tag`: ``lab/*``, ``*:v1``, ``*/base:*``; without a tag, any.

    See: https://docs.docker.com/reference/cli/docker/image/ls/#reference
    """
    repository, name = Reference.parse(tag).repository, tag
    # As a path is matched: a star stops at a slash.
    candidates = (name, repository)
    return any(
        len(pattern.split("/")) == len(each.split("/"))
        and all(fnmatch.fnmatchcase(a, b) for a, b in zip(each.split("/"), pattern.split("/"), strict=True))
        for each in candidates
    )


def named(name: str, tag: str) -> bool:
    """Whether `name`, a repository, a reference or a pattern, means `tag`. Raises: InvalidReference."""
    if any(sign in name for sign in "*?["):
        return matches(name, tag)
    wanted, given = Reference.parse(name), Reference.parse(tag)
    exact = ":" in name.rpartition("/")[2] or wanted.digest is not None
    return wanted == given if exact else wanted.repository == given.repository


def _dangling(wanted: Filters) -> Callable[[Image], bool]:
    values = {text.lower() for text in wanted.of("dangling")}
    if not values:
        return lambda image: True
    if len(values) > 1 or not values <= {"true", "false", "1", "0"}:
        raise UsageError("filter", f"dangling={','.join(sorted(values))}", "choose true or false")
    dangling = bool(values & {"true", "1"})
    return lambda image: (not image.tags) is dangling


def _labels(wanted: Filters) -> Callable[[Image], bool]:
    return lambda image: wanted.labels(image.config.config.labels)


def _times(engine: Engine, wanted: Filters) -> Callable[[Image], bool]:
    before = [made_at(engine.images.get(name)) for name in wanted.of("before")]
    since = [made_at(engine.images.get(name)) for name in wanted.of("since")]
    until_ns = [nanoseconds("until", text) for text in wanted.of("until")]

    def fits(image: Image) -> bool:
        made = made_at(image)
        early = all(made < each for each in before) and all(made.timestamp() * 1e9 < ns for ns in until_ns)
        return early and all(made > each for each in since)

    return fits
