"""The verbs that take containers by name or id: logs, inspect."""

from __future__ import annotations

import json
import sys

import click

from labcontainer.cli import Session

_names = click.argument("names", nargs=-1, required=True, metavar="CONTAINER...")


@click.command()
@click.argument("name", metavar="CONTAINER")
@click.pass_obj
def logs(session: Session, name: str) -> None:
    """Print what a container has written, stdout and stderr apart."""
    container = session.engine().containers.get(name)
    sys.stdout.buffer.write(container.logs(stderr=False))
    sys.stderr.buffer.write(container.logs(stdout=False))


@click.command()
@_names
@click.pass_obj
def inspect(session: Session, names: tuple[str, ...]) -> None:
    """Show all that is known of containers, under docker's field names."""
    click.echo(json.dumps([session.engine().containers.get(name).attrs for name in names], indent=4))
