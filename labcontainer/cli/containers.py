"""``lab inspect``."""

from __future__ import annotations

import json

import click

from labcontainer.cli import Session

_names = click.argument("names", nargs=-1, required=True, metavar="CONTAINER...")


@click.command()
@_names
@click.pass_obj
def inspect(session: Session, names: tuple[str, ...]) -> None:
    """Show all that is known of containers, under docker's field names."""
    click.echo(json.dumps([session.engine().containers.get(name).attrs for name in names], indent=4))
