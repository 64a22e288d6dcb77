"""``lab images``."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click

from labcontainer.cli import Session
from labcontainer.cli.table import table
from labcontainer.image.image import Image
from labcontainer.oci.reference import Reference

_HEADS = ("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE")
_EPOCH = datetime.fromtimestamp(0, UTC)
_AGES = (("year", 365 * 86400), ("month", 30 * 86400), ("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


@click.command()
@click.option("-q", "--quiet", is_flag=True, help="Print ids alone.")
@click.option("--no-trunc", is_flag=True, help="Print ids whole.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
@click.pass_obj
def images(session: Session, quiet: bool, no_trunc: bool, form: str) -> None:
    """List images, a line for each tag."""
    found = session.engine().images.list()
    if quiet:
        for image in found:
            click.echo(_id(image, whole=no_trunc))
        return
    rows = [_row(image, tag, whole=no_trunc) for image in found for tag in image.tags or (None,)]
    if form == "json":
        for row in rows:
            click.echo(json.dumps(row))
        return
    click.echo(table(_HEADS, [tuple(row.values()) for row in rows]))


def _row(image: Image, tag: str | None, *, whole: bool) -> dict[str, str]:
    name = Reference.parse(tag) if tag else None
    return {
        "Repository": name.repository if name else "<none>",
        "Tag": name.tag or "<none>" if name else "<none>",
        "ID": _id(image, whole=whole),
        "CreatedSince": _age(image.created),
        "Size": _size(image.size_bytes),
    }


def _id(image: Image, *, whole: bool) -> str:
    return str(image.id) if whole else image.id.short


def _age(created: datetime | None) -> str:
    if created is None or created <= _EPOCH:
        return "N/A"  # made reproducibly: no time was noted
    seconds = max(0, int((datetime.now(UTC) - created).total_seconds()))
    for unit, length in _AGES:
        if seconds >= 2 * length or unit == "second":
            count = seconds // length
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "N/A"


def _size(size_bytes: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.3g}{unit}"
    return f"{size_bytes}B"
