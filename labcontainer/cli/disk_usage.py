"""``lab system df``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from labcontainer.cli import Session, images, ps, units
from labcontainer.cli.format import Listing
from labcontainer.cli.template import Struct, Template
from labcontainer.engine import disk_usage, summary
from labcontainer.engine.engine import Engine

_TYPES = {"Images": "Images", "Containers": "Containers", "Local Volumes": "Volumes", "Build Cache": "BuildCache"}
_LISTING = Listing(
    "*formatter.diskUsageContext",
    {"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE"},
    "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
)
_IMAGES = Listing(
    "*formatter.diskUsageImageContext",
    {**images.LISTING.heads, "SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE", "Containers": "CONTAINERS"},
    f"{images.LISTING.default}\t{{{{.SharedSize}}}}\t{{{{.UniqueSize}}}}\t{{{{.Containers}}}}",
)
_CONTAINERS = Listing(
    ps.LISTING.type_name,
    ps.LISTING.heads,
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
)
_VOLUMES = Listing(
    "*formatter.diskUsageVolumeContext",
    {"Name": "VOLUME NAME", "Links": "LINKS", "Size": "SIZE"},
    "{{.Name}}\t{{.Links}}\t{{.Size}}",
)
_CACHE = Listing(
    "*formatter.diskUsageBuilderContext",
    {
        "ID": "CACHE ID",
        "CacheType": "CACHE TYPE",
        "Size": "SIZE",
        "CreatedSince": "CREATED",
        "LastUsedSince": "LAST USED",
        "UsageCount": "USAGE",
        "Shared": "SHARED",
    },
    "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}",
)


@click.command()
@click.option("--format", "form", default="", metavar="table|json|TEMPLATE", help="Print each with a Go template.")
@click.option("-v", "--verbose", is_flag=True, help="Show each image, container and file of the cache.")
@click.pass_obj
def df(session: Session, form: str, verbose: bool) -> None:
    """Show what images, containers and caches take up on the disk, and what of it nobody needs."""
    engine = session.engine()
    used = engine.df()
    if not verbose:
        for text in _LISTING.lines(_totals(engine, used), form):
            click.echo(text)
        return
    rows = _rows(engine, used)
    if form not in ("", "table"):
        kinds = {name: [Struct(name, row) for row in those] for name, those in rows.items()}
        text = "{{json .}}" if form == "json" else form
        click.echo(Template(text).render(Struct("*formatter.diskUsageContext", kinds)))
    else:
        _print_all(used, rows)


def _totals(engine: Engine, used: Mapping[str, Any]) -> list[dict[str, object]]:
    reclaimable = disk_usage.reclaimable_bytes(engine, used)
    active = {
        "Images": sum(bool(image["Containers"]) for image in used["Images"]),
        "Containers": sum(each["State"] == "running" for each in used["Containers"]),
    }
    whole = {
        "Images": used["LayersSize"],
        "Containers": sum(each["SizeRw"] for each in used["Containers"]),
        "Build Cache": sum(each["Size"] for each in used["BuildCache"]),
    }
    return [
        {
            "Type": name,
            "TotalCount": str(len(used[field])),
            "Active": str(active.get(name, 0)),
            "Size": units.size(whole.get(name, 0)),
            "Reclaimable": _share(reclaimable[name], whole.get(name, 0), told=name != "Build Cache"),
        }
        for name, field in _TYPES.items()
    ]


def _share(part: int, whole: int, *, told: bool) -> str:
    return units.size(part) + (f" ({part * 100 // whole}%)" if told and whole else "")


def _rows(engine: Engine, used: Mapping[str, Any]) -> dict[str, list[dict[str, object]]]:
    return {
        "Images": [row for image in used["Images"] for row in _image_rows(engine, image)],
        "Containers": [
            {**ps.row(engine, each, whole=False, sized=False), "Size": units.size(told["SizeRw"], 3)}
            for told in used["Containers"]
            for each in [summary.of(engine.containers.get(told["Id"]).directory)]
        ],
        "Volumes": [],
        "BuildCache": [_cache_row(each) for each in used["BuildCache"]],
    }


def _image_rows(engine: Engine, told: Mapping[str, Any]) -> list[dict[str, object]]:
    image = engine.store.resolve(told["Id"])
    sizes = {
        "Size": units.size(told["Size"], 3),
        "SharedSize": units.size(told["SharedSize"]),
        "UniqueSize": units.size(told["Size"] - told["SharedSize"]),
        "Containers": str(told["Containers"]),
    }
    return [{**images.row(image, tag, whole=False), **sizes} for tag in image.tags or (None,)]


def _cache_row(each: Mapping[str, Any]) -> dict[str, object]:
    def since(name: str) -> str:
        then = datetime.fromisoformat(f"{each[name][:19]}+00:00")
        return f"{units.duration((datetime.now(UTC) - then).total_seconds())} ago"

    return {
        "ID": each["ID"][:12],
        "CacheType": each["Type"],
        "Size": units.size(each["Size"], 3),
        "CreatedSince": since("CreatedAt"),
        "LastUsedSince": since("LastUsedAt"),
        "UsageCount": str(each["UsageCount"]),
        "Shared": str(each["Shared"]).lower(),
    }


def _print_all(used: Mapping[str, Any], rows: Mapping[str, list[dict[str, object]]]) -> None:
    cache = units.size(sum(each["Size"] for each in used["BuildCache"]))
    for head, listing, name in (
        ("Images space usage:", _IMAGES, "Images"),
        ("Containers space usage:", _CONTAINERS, "Containers"),
        ("Local Volumes space usage:", _VOLUMES, "Volumes"),
        (f"Build cache usage: {cache}", _CACHE, "BuildCache"),
    ):
        click.echo(f"{head}\n")
        for text in listing.lines(rows[name]):
            click.echo(text)
        click.echo()
