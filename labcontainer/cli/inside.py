"""The verbs that go inside a running container: exec, attach."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from labcontainer.cli import Session
from labcontainer.cli.completion import containers
from labcontainer.cli.keys import DEFAULT


@click.command("exec", context_settings={"allow_interspersed_args": False})
@click.option("-d", "--detach", is_flag=True, help="Do not wait for it.")
@click.option("--detach-keys", default=DEFAULT, show_default=True, help="Keys that leave it running.")
@click.option("-e", "--env", "environment", multiple=True, metavar="NAME=VALUE", help="Set a variable.")
@click.option("--env-file", "env_files", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-i", "--interactive", is_flag=True, help="Pass stdin on.")
@click.option("--privileged", is_flag=True, help="All capabilities.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
@click.option("-u", "--user", metavar="NAME|UID[:GROUP]", help="Run as this user of the container.")
@click.option("-w", "--workdir", help="Working directory inside.")
@click.argument("name", metavar="CONTAINER", shell_complete=containers("running"))
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def execute(
    session: Session,
    /,
    name: str,
    command: tuple[str, ...],
    detach: bool,
    detach_keys: str,
    environment: tuple[str, ...],
    env_files: tuple[Path, ...],
    interactive: bool,
    privileged: bool,
    tty: bool,
    user: str | None,
    workdir: str | None,
) -> None:
    """Run COMMAND in a running container; the exit code is the command's, 126 or 127 where it cannot be run."""
    from labcontainer.cli.attach import attached, check_terminal
    from labcontainer.cli.settings import variables

    check_terminal(tty=tty, interactive=interactive)
    container = session.engine().containers.get(name)
    connection = container.exec_open(
        list(command),
        environment=[*variables(env_files), *environment],
        workdir=workdir,
        user=user,
        privileged=privileged,
        tty=tty,
        stdin=interactive,
    )
    if not detach:
        sys.exit(attached(connection, interactive=interactive, tty=tty, kill=None, detach_keys=detach_keys))


@click.command()
@click.option("--detach-keys", default=DEFAULT, show_default=True, help="Keys that leave it running.")
@click.option("--no-stdin", is_flag=True, help="Do not pass stdin on.")
@click.option("--sig-proxy/--no-sig-proxy", default=True, help="Pass signals on to its PID 1.")
@click.argument("name", metavar="CONTAINER", shell_complete=containers("running"))
@click.pass_obj
def attach(session: Session, name: str, detach_keys: str, no_stdin: bool, sig_proxy: bool) -> None:
    """Show what a running container writes from now on, and pass stdin on; exits as it does."""
    from labcontainer.cli.attach import attached, staying

    container = session.engine().containers.get(name)
    asked = container.record.settings
    with staying(container):
        code = attached(
            container.attach(),
            interactive=bool(asked.get("stdin_open")) and not no_stdin,
            tty=bool(asked.get("tty")),
            kill=container.kill if sig_proxy else None,
            detach_keys=detach_keys,
        )
    sys.exit(code)
