"""``lab run`` and ``lab create``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from labcontainer.cli import Session
from labcontainer.cli.completion import images
from labcontainer.cli.keys import DEFAULT
from labcontainer.cli.settings import container_options, settings

_NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2}
_attach = click.option(
    "-a", "--attach", "attach", multiple=True, help="Stay with this stream alone.",
    type=click.Choice(["stdin", "stdout", "stderr"], case_sensitive=False),
)  # fmt: skip
_cidfile = click.option("--cidfile", type=click.Path(path_type=Path), help="Write the container's id to this file.")


@click.command(context_settings={"allow_interspersed_args": False})
@container_options
@_attach
@_cidfile
@click.argument("image", shell_complete=images)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def create(session: Session, /, image: str, command: tuple[str, ...], cidfile: Path | None, **given: Any) -> None:
    """Make a container from IMAGE, to be started later, and print its id."""
    _check_cidfile(cidfile)
    container = session.engine().containers.create(image, command or None, **settings(given))
    _write_cidfile(cidfile, container.id)
    click.echo(container.id)


@click.command(context_settings={"allow_interspersed_args": False})
@container_options
@_attach
@_cidfile
@click.option("-d", "--detach", is_flag=True, help="Leave it running and print its id.")
@click.option("--detach-keys", default=DEFAULT, show_default=True, help="Keys that leave it running.")
@click.option("--sig-proxy/--no-sig-proxy", default=True, help="Pass signals on to its PID 1.")
@click.argument("image", shell_complete=images)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def run(
    session: Session,
    /,
    image: str,
    command: tuple[str, ...],
    cidfile: Path | None,
    detach: bool,
    detach_keys: str,
    sig_proxy: bool,
    attach: tuple[str, ...],
    **given: Any,
) -> None:
    """Create a container from IMAGE and run COMMAND in it.

    The exit code is the command's; 125 when labcontainer fails, 126 when the command cannot be executed, 127 when it is
    not found, 128 + n after signal n.
    """
    from labcontainer.cli.attach import attached, check_terminal, staying

    _check_cidfile(cidfile)
    streams = _streams(attach, detach=detach, interactive=given["stdin_open"])
    tty, interactive = given["tty"], given["stdin_open"] and (detach or "stdin" in streams)
    if not detach:
        check_terminal(tty=tty, interactive=interactive)
    chosen = settings(given)
    chosen.update(stdin_once=interactive and not detach, attach=streams)
    container, connection = session.engine().containers.open(image, command or None, **chosen)
    _write_cidfile(cidfile, container.id)
    if detach:
        connection.start()
        connection.expect("started")
        click.echo(container.id)
        return
    connection.attach()
    kill, shown = container.kill if sig_proxy else None, [_NUMBERS[name] for name in streams]
    with staying(container):
        code = attached(connection, interactive=interactive, tty=tty, kill=kill, start=True,
                        detach_keys=detach_keys, shown=shown)  # fmt: skip
    sys.exit(code)


def _streams(given: tuple[str, ...], *, detach: bool, interactive: bool) -> list[str]:
    """Which of stdin, stdout and stderr the client stays with. Raises: click.UsageError."""
    if not given:
        return [] if detach else [*(["stdin"] if interactive else []), "stdout", "stderr"]
    if detach:
        raise click.UsageError("--attach and --detach exclude each other")
    return [name.lower() for name in given]


def _check_cidfile(path: Path | None) -> None:
    if path is not None and path.exists():
        raise click.UsageError(f"--cidfile: {path} exists: make sure that no other container uses it, and remove it")


def _write_cidfile(path: Path | None, id: str) -> None:
    if path is not None:
        path.write_text(id)
