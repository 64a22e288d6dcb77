"""The verbs that bring images in and out as files, and make them of containers: load, save, import, commit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

import click

from labcontainer.cli import Session
from labcontainer.cli.files import write_out
from labcontainer.errors import NotFound, UsageError
from labcontainer.oci.reference import Reference


@click.command()
@click.option("-i", "--input", "path", metavar="FILE", help="Read from a file instead of stdin.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
@click.pass_obj
def load(session: Session, path: str | None, quiet: bool) -> None:
    """Take in the images of an archive that docker, podman, skopeo or lab have saved, plain or compressed."""
    if path is None and sys.stdin.isatty():
        raise click.UsageError("requested load from stdin, but stdin is empty")
    try:
        with open(path, "rb") if path is not None else sys.stdin.buffer as file:
            found = session.engine().images.load(file)
    except FileNotFoundError:
        raise NotFound("file", str(path)) from None
    for image in found if not quiet else ():
        names = [f"Loaded image: {tag}" for tag in image.tags] or [f"Loaded image ID: {image.id}"]
        click.echo("\n".join(names))


@click.command()
@click.option("-o", "--output", metavar="FILE", help="Write to a file instead of stdout.")
@click.argument("names", metavar="IMAGE...", nargs=-1, required=True)
@click.pass_obj
def save(session: Session, output: str | None, names: tuple[str, ...]) -> None:
    """Write images as one archive, which docker, podman and skopeo load, too."""
    if output is None and sys.stdout.isatty():
        raise click.UsageError("cowardly refusing to save to a terminal; use -o FILE, or redirect")
    images = session.engine().images
    if output is None:
        images.save_to(names, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    else:
        write_out(Path(output), lambda file: images.save_to(names, file))


@click.command("import")
@click.option(
    "-c", "--change", "changes", multiple=True, metavar="INSTRUCTION", help="Apply a Dockerfile's instruction."
)
@click.option("-m", "--message", default="", help="What is noted in the history.")
@click.option("--platform", metavar="OS/ARCH", help="The machine it is for, if not this one.")
@click.argument("source", metavar="FILE|-")
@click.argument("name", metavar="[REPOSITORY[:TAG]]", required=False)
@click.pass_obj
def import_(
    session: Session, source: str, name: str | None, changes: tuple[str, ...], message: str, platform: str | None
) -> None:
    """Make an image of the tar of a root file system."""
    if "://" in source:
        raise UsageError("source", source, "fetch it first, and give the file, or - for stdin")
    file = sys.stdin.buffer if source == "-" else source
    repository, tag = _split(name)
    image = session.engine().images.import_image(
        cast(str, file), repository, tag, changes=changes, message=message, platform=platform
    )
    click.echo(str(image.id))


@click.command()
@click.option("-a", "--author", default="", help="Who has made it.")
@click.option(
    "-c", "--change", "changes", multiple=True, metavar="INSTRUCTION", help="Apply a Dockerfile's instruction."
)
@click.option("-m", "--message", default="", help="What is noted in the history.")
@click.option("-p", "--pause/--no-pause", "pause", default=True, help="Stop its processes meanwhile (as it is).")
@click.argument("container", metavar="CONTAINER")
@click.argument("name", metavar="[REPOSITORY[:TAG]]", required=False)
@click.pass_obj
def commit(
    session: Session, container: str, name: str | None, author: str, changes: tuple[str, ...], message: str, pause: bool
) -> None:
    """Make an image of what a container is now: its image's layers, and one of its own changes."""
    repository, tag = _split(name)
    image = (
        session.engine()
        .containers.get(container)
        .commit(repository, tag, author=author, message=message, changes=changes, pause=pause)
    )
    click.echo(str(image.id))


def _split(name: str | None) -> tuple[str | None, str | None]:
    if name is None:
        return None, None
    reference = Reference.parse(name)
    return reference.repository, reference.tag
