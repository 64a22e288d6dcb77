"""``lab container prune``: the verb that removes what nobody uses."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from labcontainer.cli import Session
from labcontainer.cli.filters import filter_option
from labcontainer.cli.units import size

_force = click.option("-f", "--force", is_flag=True, help="Do not ask.")


@click.command("prune")
@filter_option("Those alone that fit: until=24h (made before then), label=…, label!=…", short=False)
@_force
@click.pass_obj
def containers(session: Session, filters: dict[str, list[str]], force: bool) -> None:
    """Remove all containers that do not run."""
    if not force and not confirmed("WARNING! This will remove all stopped containers."):
        return
    done = session.engine().containers.prune(filters)
    report("Deleted Containers:", done["ContainersDeleted"])
    click.echo(f"Total reclaimed space: {size(done['SpaceReclaimed'])}")


def confirmed(warning: str) -> bool:
    """Ask on stdout, as docker does; the end of stdin is a no."""
    click.echo(f"{warning}\nAre you sure you want to continue? [y/N] ", nl=False)
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() == "y"


def report(head: str, deleted: Iterable[str]) -> None:
    """Print what was deleted under its head; nothing where that is nothing."""
    names = list(deleted)
    if names:
        click.echo("\n".join([head, *names, ""]))
