"""``lab inspect``, ``lab container inspect``, ``lab image inspect``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from labcontainer.cli import Session
from labcontainer.cli.completion import either
from labcontainer.cli.template import Template
from labcontainer.errors import InvalidReference, LabError, NotFound

if TYPE_CHECKING:
    from labcontainer.engine import Engine

_KINDS = ("container", "image")
_names = click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=either)
_format = click.option(
    "-f", "--format", "form", default="", metavar="json|TEMPLATE", help="Print each with a Go template."
)
_size = click.option("-s", "--size", is_flag=True, help="Tell what containers take up on the disk, too.")


@click.command()
@_format
@_size
@click.option("--type", "kind", type=click.Choice(_KINDS), help="Look for this kind alone.")
@_names
@click.pass_obj
def inspect(session: Session, names: tuple[str, ...], form: str, size: bool, kind: str | None) -> None:
    """Show all that is known of containers and images, under docker's field names."""
    _show(session.engine(), names, form, size=size, kinds=(kind,) if kind else _KINDS)


@click.command("inspect")
@_format
@_size
@_names
@click.pass_obj
def container(session: Session, names: tuple[str, ...], form: str, size: bool) -> None:
    """Show all that is known of containers, under docker's field names."""
    _show(session.engine(), names, form, size=size, kinds=("container",))


@click.command("inspect")
@_format
@_names
@click.pass_obj
def image(session: Session, names: tuple[str, ...], form: str) -> None:
    """Show all that is known of images, under docker's field names."""
    _show(session.engine(), names, form, size=False, kinds=("image",))


def _show(engine: Engine, names: Sequence[str], form: str, *, size: bool, kinds: Sequence[str]) -> None:
    template = Template("{{json .}}" if form == "json" else form) if form else None
    found: list[dict[str, Any]] = []
    missing: list[str] = []
    for name in names:
        try:
            known = _known(engine, name, size=size, kinds=kinds)
        except LabError as error:
            missing.append(str(error))
            continue
        if template:
            click.echo(template.render(known))
        found.append(known)
    if not template:
        click.echo(json.dumps(found, indent=4, ensure_ascii=False))
    for reason in missing:
        click.echo(f"lab: {reason}", err=True)
    if missing:
        sys.exit(1)


def _known(engine: Engine, name: str, *, size: bool, kinds: Sequence[str]) -> dict[str, Any]:
    from labcontainer.engine import inspect, inspect_image

    if "container" in kinds:
        try:
            return inspect.container(engine, engine.containers.get(name).directory, size=size)
        except NotFound:
            if "image" not in kinds:
                raise
    try:
        return inspect_image.image(engine, engine.images.get(name))
    except (NotFound, InvalidReference):
        raise NotFound("object" if len(kinds) > 1 else "image", name) from None
