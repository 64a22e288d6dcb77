"""``lab images``."""

from __future__ import annotations

import json

import click

from labcontainer.cli import Session
from labcontainer.cli.table import table
from labcontainer.image.image import Image
from labcontainer.oci.reference import Reference


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
            click.echo(str(image.id) if no_trunc else image.id.hex[:12])
        return
    rows = [_row(image, tag, whole=no_trunc) for image in found for tag in image.tags or ("",)]
    if form == "json":
        for row in rows:
            click.echo(json.dumps(row))
        return
    click.echo(table(("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"), [tuple(row.values()) for row in rows]))


def _row(image: Image, tag: str, *, whole: bool) -> dict[str, str]:
    name = Reference.parse(tag) if tag else None
    return {
        "Repository": name.repository if name else "<none>",
        "Tag": name.tag if name else "<none>",
        "ID": str(image.id) if whole else image.id.hex[:12],
        "CreatedAt": image.created,
        "Size": f"{image.size_bytes / 1e6:.1f}MB",
    }
