"""The verbs that take containers by name or id: start, stop, kill, wait, logs, rm, inspect."""

from __future__ import annotations

import json
import sys

import click

from labcontainer.cli import Session

_names = click.argument("names", nargs=-1, required=True, metavar="CONTAINER...")


@click.command()
@_names
@click.pass_obj
def start(session: Session, names: tuple[str, ...]) -> None:
    """Start created containers."""
    for name in names:
        session.engine().containers.get(name).start()
        click.echo(name)


@click.command()
@click.option("-t", "--time", "timeout", default=10.0, show_default=True, help="Seconds until SIGKILL.")
@click.option("-s", "--signal", default="SIGTERM", show_default=True)
@_names
@click.pass_obj
def stop(session: Session, names: tuple[str, ...], timeout: float, signal: str) -> None:
    """Ask containers to end; after a while kill them."""
    for name in names:
        session.engine().containers.get(name).stop(timeout, signal)
        click.echo(name)


@click.command()
@click.option("-s", "--signal", default="SIGKILL", show_default=True)
@_names
@click.pass_obj
def kill(session: Session, names: tuple[str, ...], signal: str) -> None:
    """Send a signal to the containers' PID 1."""
    for name in names:
        session.engine().containers.get(name).kill(signal)
        click.echo(name)


@click.command()
@_names
@click.pass_obj
def wait(session: Session, names: tuple[str, ...]) -> None:
    """Wait for containers to end and print their exit codes."""
    for name in names:
        click.echo(session.engine().containers.get(name).wait()["StatusCode"])


@click.command()
@click.argument("name", metavar="CONTAINER")
@click.pass_obj
def logs(session: Session, name: str) -> None:
    """Print what a container has written, stdout and stderr apart."""
    container = session.engine().containers.get(name)
    sys.stdout.buffer.write(container.logs(stderr=False))
    sys.stderr.buffer.write(container.logs(stdout=False))


@click.command()
@click.option("-f", "--force", is_flag=True, help="Kill a running container first.")
@_names
@click.pass_obj
def rm(session: Session, names: tuple[str, ...], force: bool) -> None:
    """Remove containers and their files."""
    for name in names:
        session.engine().containers.get(name).remove(force=force)
        click.echo(name)


@click.command()
@_names
@click.pass_obj
def inspect(session: Session, names: tuple[str, ...]) -> None:
    """Show all that is known of containers, under docker's field names."""
    click.echo(json.dumps([session.engine().containers.get(name).attrs for name in names], indent=4))
