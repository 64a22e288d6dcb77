"""The verbs of a container's life: start, stop, kill, restart, pause, unpause, wait, rm."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from labcontainer.cli import Session
from labcontainer.cli.completion import containers
from labcontainer.cli.each import each


def _containers(*statuses: str) -> Callable[[F], F]:
    complete = containers(*statuses)
    return click.argument("names", nargs=-1, required=True, metavar="CONTAINER...", shell_complete=complete)


F = TypeVar("F", bound=Callable[..., Any])
_RUNNING = ("running", "paused", "restarting")
_timeout = click.option("-t", "--timeout", "--time", "timeout", type=float, help="Seconds until SIGKILL; -1 for never.")


@click.command()
@click.option("-a", "--attach", is_flag=True, help="Show its output, pass signals on, exit as it does.")
@click.option("-i", "--interactive", is_flag=True, help="Pass stdin on.")
@click.option("--detach-keys", help="Keys that leave it running.")
@_containers("created", "exited")
@click.pass_obj
def start(session: Session, names: tuple[str, ...], attach: bool, interactive: bool, detach_keys: str | None) -> None:
    """Start containers that were created, or have ended."""
    if not attach and not interactive:
        each(session, names, lambda container: container.start())
        return
    if len(names) > 1:
        raise click.UsageError("only one container can be attached to at once")
    from labcontainer.cli.attach import attached, staying
    from labcontainer.cli.keys import DEFAULT

    container = session.engine().containers.get(names[0])
    tty = bool(container.record.settings.get("tty"))
    runs = container.status == "running"
    connection = container.attach() if runs else container.launch()
    if not runs:
        connection.attach()
    keys = DEFAULT if detach_keys is None else detach_keys
    with staying(container):
        code = attached(
            connection, interactive=interactive, tty=tty, kill=container.kill, start=not runs, detach_keys=keys
        )
    sys.exit(code)


@click.command()
@_timeout
@click.option("-s", "--signal", help="The signal that asks it to end.")
@_containers(*_RUNNING)
@click.pass_obj
def stop(session: Session, names: tuple[str, ...], timeout: float | None, signal: str | None) -> None:
    """Ask containers to end; after a while kill them."""
    each(session, names, lambda container: container.stop(timeout, signal))


@click.command()
@_timeout
@click.option("-s", "--signal", help="The signal that asks it to end.")
@_containers()
@click.pass_obj
def restart(session: Session, names: tuple[str, ...], timeout: float | None, signal: str | None) -> None:
    """Stop containers, and start them again."""
    each(session, names, lambda container: container.restart(timeout, signal))


@click.command()
@click.option("-s", "--signal", default="SIGKILL", show_default=True)
@_containers(*_RUNNING)
@click.pass_obj
def kill(session: Session, names: tuple[str, ...], signal: str) -> None:
    """Send a signal to the containers' PID 1."""
    each(session, names, lambda container: container.kill(signal))


@click.command()
@_containers("running")
@click.pass_obj
def pause(session: Session, names: tuple[str, ...]) -> None:
    """Stop every process of containers where it stands."""
    each(session, names, lambda container: container.pause())


@click.command()
@_containers("paused")
@click.pass_obj
def unpause(session: Session, names: tuple[str, ...]) -> None:
    """Let paused containers go on."""
    each(session, names, lambda container: container.unpause())


@click.command()
@click.option("--condition", type=click.Choice(["not-running", "next-exit", "removed"]), default="not-running")
@_containers()
@click.pass_obj
def wait(session: Session, names: tuple[str, ...], condition: str) -> None:
    """Wait for containers to end and print their exit codes."""
    each(session, names, lambda container: container.wait(condition=condition)["StatusCode"])


@click.command()
@click.option("-f", "--force", is_flag=True, help="Kill a running container first.")
@click.option("-v", "--volumes", is_flag=True, help="Remove the volumes that belong to it alone, too.")
@_containers()
@click.pass_obj
def rm(session: Session, names: tuple[str, ...], force: bool, volumes: bool) -> None:
    """Remove containers and their files; with --force one that is not there is no failure."""
    each(session, names, lambda container: container.remove(force=force, v=volumes), missing_fails=not force)
