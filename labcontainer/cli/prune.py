"""``lab container prune`` and ``lab system prune``: the verbs that remove what nobody uses."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import click

from labcontainer.cli import Session
from labcontainer.cli.filters import filter_option
from labcontainer.cli.units import size
from labcontainer.engine import prune as engine_prune

_force = click.option("-f", "--force", is_flag=True, help="Do not ask.")


@click.command("prune")
@filter_option("Those alone that fit: until=24h (made before then), label=…, label!=…", short=False)
@_force
@click.pass_obj
def containers(session: Session, filters: dict[str, list[str]], force: bool) -> None:
    """Remove all containers that do not run."""
    if not force and not confirmed("WARNING! This will remove all stopped containers."):
        return
    done = session.engine().containers.prune(filters)
    report("Deleted Containers:", done["ContainersDeleted"])
    click.echo(f"Total reclaimed space: {size(done['SpaceReclaimed'])}")


@click.command("prune")
@click.option(
    "-a", "--all", "every", is_flag=True, help="All images and layers without a container, and all caches, too."
)
@filter_option("Those containers alone that fit: until=24h (made before then), label=…, label!=…", short=False)
@_force
@click.pass_obj
def system(session: Session, every: bool, filters: dict[str, list[str]], force: bool) -> None:
    """Remove what nobody uses: containers that do not run, images without a name, and unpacked layers without an image.

    Layers are unpacked again when they are needed again.
    """
    if not force and not confirmed(_warning(filters, every=every)):
        return
    engine = session.engine()
    reclaimed = engine.containers.prune(filters)
    report("Deleted Containers:", reclaimed["ContainersDeleted"])
    total = reclaimed["SpaceReclaimed"]
    reclaimed = engine_prune.layers(engine, all=every)
    report("Deleted Layers:", reclaimed["LayersDeleted"])
    total += reclaimed["SpaceReclaimed"]
    reclaimed = engine.images.prune({**filters, "dangling": ["false" if every else "true"]})
    report("Deleted Images:", said(reclaimed["ImagesDeleted"]))
    total += reclaimed["SpaceReclaimed"]
    if every:
        reclaimed = engine_prune.cache(engine)
        report("Deleted Caches:", reclaimed["CachesDeleted"])
        total += reclaimed["SpaceReclaimed"]
    click.echo(f"Total reclaimed space: {size(total)}")


def _warning(filters: dict[str, list[str]], *, every: bool) -> str:
    lines = ["WARNING! This will remove:", "  - all stopped containers"]
    if every:
        lines += [
            f"  - all {what} without at least one container associated to them"
            for what in ("unpacked layers", "images")
        ]
        lines += ["  - all caches"]
    else:
        lines += ["  - all unpacked layers that belong to no image and no container", "  - all dangling images"]
    if filters:
        lines += ["", "  Containers and images to be pruned will be filtered with:"]
        lines += [f"  - {name}={value}" for name, values in sorted(filters.items()) for value in values]
    return "\n".join([*lines, ""])


def confirmed(warning: str) -> bool:
    """Ask on stdout, as docker does; the end of stdin is a no."""
    click.echo(f"{warning}\nAre you sure you want to continue? [y/N] ", nl=False)
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() == "y"


def said(done: Iterable[dict[str, str]]) -> Iterator[str]:
    """docker's words for what was done to images: ``untagged: x:1``, ``deleted: sha256:…``."""
    return (f"{word.lower()}: {what}" for one in done for word, what in one.items())


def report(head: str, deleted: Iterable[str]) -> None:
    """Print what was deleted under its head; nothing where that is nothing."""
    names = list(deleted)
    if names:
        click.echo("\n".join([head, *names, ""]))
