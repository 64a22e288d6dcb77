"""``lab explain run …``: the plan of a container, before anything is done."""

from __future__ import annotations

from typing import Any

import click

from labcontainer.cli import Session
from labcontainer.cli.settings import container_options, settings


@click.group()
def explain() -> None:
    """Show what a verb would do, step by step, and do nothing."""


@explain.command(context_settings={"allow_interspersed_args": False})
@container_options
@click.option("-d", "--detach", is_flag=True)
@click.argument("image")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def run(session: Session, /, image: str, command: tuple[str, ...], detach: bool, **given: Any) -> None:
    """What `lab run` with the same words would do."""
    explained = session.engine().containers.explain(image, command or None, **settings(given))
    for number, (call, why) in enumerate(explained, 1):
        click.echo(f"{number:3}  {call}")
        click.echo(click.style(f"     {why}", dim=True))
