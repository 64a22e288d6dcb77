"""docker's nouns: ``lab container …``, ``lab image …``, ``lab system …``."""

from __future__ import annotations

import click

from labcontainer.cli.verbs import ALIASES, CONTAINER, IMAGE, SYSTEM, Verbs


@click.command(cls=Verbs, table=CONTAINER, aliases=ALIASES)
def container() -> None:
    """The verbs for containers."""


@click.command(cls=Verbs, table=IMAGE, aliases={**ALIASES, "ps": ""})
def image() -> None:
    """The verbs for images."""


@click.command(cls=Verbs, table=SYSTEM)
def system() -> None:
    """The verbs for the whole of an engine."""
