"""``lab ps``."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import TYPE_CHECKING

import click

from labcontainer.cli import Session, units
from labcontainer.cli.filters import filter_option
from labcontainer.cli.format import Listing, label_head
from labcontainer.engine import selection, sizes
from labcontainer.engine.summary import Summary

if TYPE_CHECKING:
    from labcontainer.engine import Engine

LISTING = Listing(
    "*formatter.ContainerContext",
    {
        "ID": "CONTAINER ID",
        "Names": "NAMES",
        "Image": "IMAGE",
        "Command": "COMMAND",
        "CreatedAt": "CREATED AT",
        "RunningFor": "CREATED",
        "Ports": "PORTS",
        "State": "STATE",
        "Status": "STATUS",
        "Size": "SIZE",
        "Labels": "LABELS",
        "Label": label_head,
        "Mounts": "MOUNTS",
        "LocalVolumes": "LOCAL VOLUMES",
        "Networks": "NETWORKS",
    },
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
)
_COMMAND_LENGTH = 20
_MOUNT_LENGTH = 15


@click.command()
@click.option("-a", "--all", "every", is_flag=True, help="Show stopped containers too.")
@filter_option("Show those alone that fit: status=exited, name=…, label=…, ancestor=IMAGE, exited=CODE, health=…")
@click.option("--format", "form", default="", metavar="table|json|TEMPLATE", help="Print each with a Go template.")
@click.option("-n", "--last", type=int, default=-1, metavar="N", help="Show the N newest, whether they run or not.")
@click.option("-l", "--latest", is_flag=True, help="Show the newest, whether it runs or not.")
@click.option("--no-trunc", is_flag=True, help="Print ids and commands whole.")
@click.option("-q", "--quiet", is_flag=True, help="Print ids alone.")
@click.option("-s", "--size", "sized", is_flag=True, help="Show what each takes up on the disk.")
@click.pass_obj
def ps(
    session: Session, every: bool, filters: dict[str, list[str]], form: str, last: int, latest: bool, no_trunc: bool,
    quiet: bool, sized: bool,
) -> None:  # fmt: skip
    """List containers, the newest first."""
    engine = session.engine()
    found = selection.select(engine, all=every, filters=filters, limit=1 if latest else last)
    if quiet:
        if form:
            click.echo("WARNING: Ignoring custom format, because both --format and --quiet are set.", err=True)
        for each in found:
            click.echo(each.id if no_trunc else each.id[:12])
        return
    if sized and form in ("", "table"):
        form = f"table {LISTING.default}\t{{{{.Size}}}}"
    sized = sized or ".Size" in form
    rows = (row(engine, each, whole=no_trunc, sized=sized) for each in found)
    for text in LISTING.lines(rows, form):
        click.echo(text)


def row(engine: Engine, each: Summary, *, whole: bool, sized: bool) -> dict[str, object]:
    """One container's line, under docker's names."""
    asked, mounts = each.record, each.mounts()
    places = [str(mount.get("Name") or mount["Source"]) for mount in mounts]
    return {
        "Command": json.dumps(command(asked.command, whole=whole), ensure_ascii=False),
        "CreatedAt": datetime.fromtimestamp(asked.created_ns // 10**9).astimezone().strftime("%Y-%m-%d %H:%M:%S %z %Z"),
        "ID": each.id if whole else each.id[:12],
        "Image": asked.image,
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(asked.labels.items())),
        "Label": lambda name: asked.labels.get(name, ""),
        "LocalVolumes": str(sum(mount["Type"] == "volume" for mount in mounts)),
        "Mounts": ",".join(place if whole else _cut(place, _MOUNT_LENGTH) for place in places),
        "Names": asked.name,
        "Networks": each.network,
        "Ports": "",
        "RunningFor": f"{age(asked.created_ns)} ago",
        "Size": size(engine, each) if sized else "0B",
        "State": each.status,
        "Status": status(each),
    }


def command(words: tuple[str, ...], *, whole: bool) -> str:
    """The command on one line; a word with a space in it stands in quotes."""
    text = " ".join(f"'{word}'" if " " in word else word for word in words)
    return text if whole else _cut(text, _COMMAND_LENGTH)


def status(each: Summary) -> str:
    """``Up 5 minutes (healthy)``, ``Exited (137) 2 hours ago``, …"""
    now, created = each.state, each.record.created_ns
    if each.status in ("running", "paused"):
        health = {"": "", "starting": " (health: starting)"}.get(now.health, f" ({now.health})")
        return f"Up {age(now.started_ns or created)}{' (Paused)' if each.status == 'paused' else health}"
    if each.status == "created":
        return "Created"
    word = "Restarting" if each.status == "restarting" else "Exited"
    return f"{word} ({now.exit_code or 0}) {age(now.finished_ns or created)} ago"


def size(engine: Engine, each: Summary) -> str:
    """``12kB (virtual 1.98MB)``: what it has written, and that with its image."""
    written, whole = sizes.container_bytes(engine, each)
    return f"{units.size(written, 3)} (virtual {units.size(whole, 3)})"


def age(then_ns: int) -> str:
    """How long ago, in docker's words: ``5 seconds``, ``About an hour``."""
    return units.duration((time.time_ns() - then_ns) / 10**9)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
