"""``lab ps``."""

from __future__ import annotations

import json
import shlex
import time

import click

from labcontainer.cli import Session
from labcontainer.cli.table import table
from labcontainer.engine import Container


@click.command()
@click.option("-a", "--all", "every", is_flag=True, help="Show stopped containers too.")
@click.option("-q", "--quiet", is_flag=True, help="Print ids alone.")
@click.option("--no-trunc", is_flag=True, help="Print ids and commands whole.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
@click.pass_obj
def ps(session: Session, every: bool, quiet: bool, no_trunc: bool, form: str) -> None:
    """List containers, the newest first."""
    found = session.engine().containers.list(all=every)
    if quiet:
        for container in found:
            click.echo(container.id if no_trunc else container.short_id)
        return
    rows = [_row(container, whole=no_trunc) for container in found]
    if form == "json":
        for row in rows:
            click.echo(json.dumps(row))
        return
    heads = ("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "NAMES")
    click.echo(table(heads, [tuple(row.values()) for row in rows]))


def _row(container: Container, *, whole: bool) -> dict[str, str]:
    record, state = container.record, container.state
    command = shlex.join(record.command)
    if not whole and len(command) > 20:
        command = command[:19] + "…"
    if container.status == "running":
        status = f"Up {age(state.started_ns or record.created_ns)}"
    elif container.status == "exited":
        status = f"Exited ({state.exit_code}) {age(state.finished_ns or record.created_ns)} ago"
    else:
        status = "Created"
    return {
        "ID": container.id if whole else container.short_id,
        "Image": record.image,
        "Command": f'"{command}"',
        "CreatedAt": f"{age(record.created_ns)} ago",
        "Status": status,
        "Names": record.name,
    }


def age(then_ns: int) -> str:
    """How long ago, in docker's words: ``5 seconds``, ``2 hours``."""
    seconds = max(0, (time.time_ns() - then_ns) // 10**9)
    for length, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds} second{'s' if seconds != 1 else ''}"
