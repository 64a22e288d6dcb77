"""``lab images``."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from labcontainer.cli import Session, units
from labcontainer.cli.filters import filter_option
from labcontainer.cli.format import Listing
from labcontainer.image.image import Image
from labcontainer.oci.reference import Reference

LISTING = Listing(
    "*formatter.imageContext",
    {
        "ID": "IMAGE ID",
        "Repository": "REPOSITORY",
        "Tag": "TAG",
        "Digest": "DIGEST",
        "CreatedSince": "CREATED",
        "CreatedAt": "CREATED AT",
        "Size": "SIZE",
    },
    "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
)
WITH_DIGESTS = "table {{.Repository}}\\t{{.Tag}}\\t{{.Digest}}\\t{{.ID}}\\t{{.CreatedSince}}\\t{{.Size}}"
_EPOCH = datetime.fromtimestamp(0, UTC)


@click.command()
@click.option("-a", "--all", "every", is_flag=True, help="For docker's sake: no image is hidden here.")
@click.option("--digests", is_flag=True, help="Show digests.")
@filter_option("Those alone that fit: dangling=true, label=…, before=IMAGE, since=IMAGE, reference=PATTERN, until=24h")
@click.option("-q", "--quiet", is_flag=True, help="Print ids alone.")
@click.option("--no-trunc", is_flag=True, help="Print ids whole.")
@click.option("--format", "form", default="", metavar="table|json|TEMPLATE", help="Print each with a Go template.")
@click.argument("name", metavar="[REPOSITORY[:TAG]]", required=False)
@click.pass_obj
def images(
    session: Session, every: bool, digests: bool, filters: dict[str, list[str]], quiet: bool, no_trunc: bool, form: str,
    name: str | None,
) -> None:  # fmt: skip
    """List images, a line for each tag, the newest first."""
    found = session.engine().images.list(name, filters=filters)
    if quiet:
        for image in found:
            click.echo(_id(image, whole=no_trunc))
        return
    rows = [row(image, tag, whole=no_trunc) for image in found for tag in image.tags or (None,)]
    for text in LISTING.lines(rows, form or (WITH_DIGESTS if digests else "")):
        click.echo(text)


def row(image: Image, tag: str | None, *, whole: bool) -> dict[str, object]:
    """One image's line for one of its tags, under docker's names."""
    name = Reference.parse(tag) if tag else None
    # Made reproducibly, an image says that it is from the epoch: no time was noted.
    created = image.created if image.created and image.created > _EPOCH else None
    return {
        "Repository": name.repository if name else "<none>",
        "Tag": name.tag or "<none>" if name else "<none>",
        "Digest": str(image.descriptor.digest),
        "ID": _id(image, whole=whole),
        "CreatedSince": f"{units.duration((datetime.now(UTC) - created).total_seconds())} ago" if created else "N/A",
        "CreatedAt": created.strftime("%Y-%m-%d %H:%M:%S %z UTC") if created else "N/A",
        "Size": units.size(image.size_bytes, 3),
    }


def _id(image: Image, *, whole: bool) -> str:
    return str(image.id) if whole else image.id.short
