"""The verbs about images by name: tag, rmi, history, prune."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import click

from labcontainer.cli import Session, units
from labcontainer.cli.each import each_name
from labcontainer.cli.filters import filter_option
from labcontainer.cli.format import Listing
from labcontainer.cli.prune import confirmed, report, said

HISTORY = Listing(
    "*formatter.historyContext",
    {
        "ID": "IMAGE",
        "CreatedSince": "CREATED",
        "CreatedAt": "CREATED AT",
        "CreatedBy": "CREATED BY",
        "Size": "SIZE",
        "Comment": "COMMENT",
    },
    "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
)
_LONGEST_STEP = 45
_BEYOND_MICROSECONDS = re.compile(r"(\.\d{6})\d+")


@click.command()
@click.argument("source", metavar="SOURCE_IMAGE[:TAG]")
@click.argument("target", metavar="TARGET_IMAGE[:TAG]")
@click.pass_obj
def tag(session: Session, source: str, target: str) -> None:
    """Give an image one more name."""
    session.engine().images.tag(source, target)


@click.command()
@click.option(
    "-f", "--force", is_flag=True, help="Also where it has several names, or a stopped container stands on it."
)
@click.option("--no-prune", is_flag=True, help="Leave what no image has any more.")
@click.argument("names", metavar="IMAGE...", nargs=-1, required=True)
@click.pass_obj
def rmi(session: Session, names: tuple[str, ...], force: bool, no_prune: bool) -> None:
    """Take names from images; an image without one goes, with the layers that only it had."""
    engine = session.engine()

    def remove(name: str) -> str:
        done = engine.images.remove(name, force=force, noprune=no_prune)
        return "\n".join(f"{word}: {what}" for one in done for word, what in one.items())

    each_name(names, remove)


@click.command()
@click.option("-H", "--human/--no-human", "human", default=True, help="Print dates and sizes for people.")
@click.option("--no-trunc", is_flag=True, help="Print whole ids and steps.")
@click.option("-q", "--quiet", is_flag=True, help="Print ids alone.")
@click.option("--format", "form", default="", metavar="table|json|TEMPLATE", help="Print each with a Go template.")
@click.argument("name", metavar="IMAGE")
@click.pass_obj
def history(session: Session, name: str, human: bool, no_trunc: bool, quiet: bool, form: str) -> None:
    """Show the steps in which an image was made, the newest first."""
    steps = session.engine().images.history(name)
    rows = [_step(step, whole=no_trunc, human=human) for step in steps]
    for text in [str(row["ID"]) for row in rows] if quiet else HISTORY.lines(rows, form):
        click.echo(text)


@click.command("prune")
@click.option(
    "-a", "--all", "every", is_flag=True, help="All on which no container stands, not those alone without name."
)
@filter_option("Those alone that fit: until=24h (made before then), label=…, label!=…", short=False)
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.pass_obj
def prune(session: Session, every: bool, filters: dict[str, list[str]], force: bool) -> None:
    """Remove images that have no name."""
    what = "images without at least one container associated to them" if every else "dangling images"
    if not force and not confirmed(f"WARNING! This will remove all {what}."):
        return
    done = session.engine().images.prune({**filters, **({"dangling": ["false"]} if every else {})})
    report("Deleted Images:", said(done["ImagesDeleted"]))
    click.echo(f"Total reclaimed space: {units.size(done['SpaceReclaimed'])}")


def _step(step: dict[str, object], *, whole: bool, human: bool) -> dict[str, object]:
    created, id, by = str(step["Created"]), str(step["Id"]), str(step["CreatedBy"])
    size_bytes = step["Size"]
    assert isinstance(size_bytes, int)
    return {
        "ID": id if whole or id == "<missing>" else id.removeprefix("sha256:")[:12],
        "CreatedSince": _since(created) if human else created,
        "CreatedAt": created,
        "CreatedBy": by if whole or len(by) <= _LONGEST_STEP else f"{by[: _LONGEST_STEP - 1]}…",
        "Size": units.size(size_bytes, 3) if human else str(size_bytes),
        "Comment": step["Comment"],
    }


def _since(created: str) -> str:
    try:
        then = datetime.fromisoformat(_BEYOND_MICROSECONDS.sub(r"\1", created))
    except ValueError:
        return "N/A"
    return f"{units.duration((datetime.now(UTC) - then).total_seconds())} ago" if then.timestamp() > 0 else "N/A"
