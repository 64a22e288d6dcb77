"""One verb for many names, as docker does it: an error with one is said, and the others have their turn."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import click

from labcontainer.cli import Session
from labcontainer.engine import Container
from labcontainer.errors import LabError, NotFound


def each(
    session: Session, names: Iterable[str], act: Callable[[Container], object], *, missing_fails: bool = True
) -> None:
    """Do `act` with the container of each name and print the name, or what `act` returns; exits 1 after any error.

    Without `missing_fails` that there is none of a name is said, and is no error.
    """
    engine = session.engine()
    each_name(names, lambda name: act(engine.containers.get(name)), missing_fails=missing_fails)


def each_name(names: Iterable[str], act: Callable[[str], object], *, missing_fails: bool = True) -> None:
    """As `each`, where `act` takes the name."""
    failed = False
    for name in names:
        try:
            said = act(name)
        except LabError as error:
            click.echo(f"lab: {error}", err=True)
            failed = failed or missing_fails or not isinstance(error, NotFound)
        else:
            click.echo(name if said is None else said)
    if failed:
        sys.exit(1)
