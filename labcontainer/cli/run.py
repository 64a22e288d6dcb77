"""``lab run``."""

from __future__ import annotations

import sys
from typing import Any

import click

from labcontainer.cli import Session
from labcontainer.cli.settings import container_options, settings


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@container_options
@click.option("-d", "--detach", is_flag=True, help="Leave it running and print its id.")
@click.argument("image")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def run(session: Session, /, image: str, command: tuple[str, ...], detach: bool, **given: Any) -> None:
    """Create a container from IMAGE and run COMMAND in it.

    The exit code is the command's; 125 when labcontainer fails, 126 when the command cannot be executed, 127 when it is
    not found, 128 + n after signal n.
    """
    from labcontainer.cli.attach import attached

    chosen = settings(given)
    if given["tty"] and not detach and not sys.stdin.isatty():
        raise click.UsageError("-t needs a terminal, and stdin is none; leave -t out")
    container, connection = session.engine().containers.open(image, command or None, **chosen)
    if detach:
        connection.start()
        connection.expect("started")
        click.echo(container.id)
        return
    connection.attach()
    sys.exit(attached(container, connection, interactive=given["stdin_open"], tty=given["tty"]))
