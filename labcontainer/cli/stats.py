"""``lab stats``: what containers use, second by second."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from labcontainer.cli import Session
from labcontainer.cli.completion import containers
from labcontainer.cli.format import Listing
from labcontainer.cli.units import binary_size, size
from labcontainer.engine import Container
from labcontainer.engine import stats as numbers
from labcontainer.errors import LabError, NotFound

if TYPE_CHECKING:
    from rich.console import RenderableType

_UNKNOWN = "--"
LISTING = Listing(
    "container.statsContext",
    {
        "Container": "CONTAINER",
        "ID": "CONTAINER ID",
        "Name": "NAME",
        "CPUPerc": "CPU %",
        "MemUsage": "MEM USAGE / LIMIT",
        "MemPerc": "MEM %",
        "NetIO": "NET I/O",
        "BlockIO": "BLOCK I/O",
        "PIDs": "PIDS",
    },
    "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
)

Documents = dict[str, dict[str, Any] | None]


@click.command()
@click.option("-a", "--all", "every", is_flag=True, help="Show containers that do not run, too.")
@click.option("--no-stream", is_flag=True, help="Print what they use now, once.")
@click.option("--no-trunc", is_flag=True, help="Print ids whole.")
@click.option("--format", "form", default="", metavar="table|json|TEMPLATE", help="As docker's.")
@click.argument("names", nargs=-1, metavar="[CONTAINER...]", shell_complete=containers("running", "paused"))
@click.pass_obj
def stats(session: Session, names: tuple[str, ...], every: bool, no_stream: bool, no_trunc: bool, form: str) -> None:
    """Show what containers use; without names, all that run."""
    containers = session.engine().containers

    def chosen() -> list[tuple[str, Container]]:
        if names:
            return [(name, containers.get(name)) for name in names]
        return [(each.id if no_trunc else each.short_id, each) for each in containers.list(all=every)]

    before: Documents = {}
    if no_stream:
        before = _sample(chosen())
        if before:
            time.sleep(numbers.INTERVAL_S)
        found = chosen()
        click.echo(_text(rows(found, _sample(found), before, whole=no_trunc), form))
        return
    with contextlib.suppress(KeyboardInterrupt), _screen(form) as show:
        while True:
            found = chosen()
            now = _sample(found)
            show(rows(found, now, before, whole=no_trunc))
            before = now
            time.sleep(numbers.INTERVAL_S)


def rows(found: list[tuple[str, Container]], now: Documents, before: Documents, *, whole: bool) -> list[dict[str, str]]:
    """A row for each container under docker's names; `now` and `before` are samples, by id."""
    shown = []
    for called, each in found:
        id = each.id if whole else each.short_id
        with contextlib.suppress(KeyError, NotFound):  # removed while we looked
            document = now[each.id]
            if document is None:
                known = {"Container": called, "ID": id, "Name": each.name}
                shown.append({**dict.fromkeys(LISTING.heads, _UNKNOWN), **known})
            else:
                shown.append(row(called, id, document, before.get(each.id)))
    return shown


def row(called: str, id: str, now: dict[str, Any], before: dict[str, Any] | None) -> dict[str, str]:
    """One container's row."""
    document = numbers.with_previous(now, before)
    percent, memory = numbers.cpu_percent(document), numbers.memory_bytes(document)
    limit = document["memory_stats"].get("limit") or 0
    idle = not document["memory_stats"] and not document["pids_stats"]
    return {
        "Container": called,
        "ID": id,
        "Name": document["name"].removeprefix("/"),
        "CPUPerc": "0.00%" if idle else _UNKNOWN if percent is None else f"{percent:.2f}%",
        "MemUsage": _pair(0 if idle else memory, limit, binary_size),
        "MemPerc": f"{100 * memory / limit:.2f}%" if memory is not None and limit else "0.00%" if idle else _UNKNOWN,
        "NetIO": _pair(*_traffic(document), _human),
        "BlockIO": _pair(0, 0, _human) if idle else _pair(*_disks(document), _human),
        "PIDs": str(document["pids_stats"].get("current", 0 if idle else _UNKNOWN)),
    }


def _sample(found: list[tuple[str, Container]]) -> Documents:
    taken: Documents = {}
    for _, each in found:
        try:
            taken[each.id] = each.stats(stream=False, one_shot=True)
        except NotFound:
            continue  # removed while we looked
        except LabError:
            taken[each.id] = None
    return taken


def _traffic(document: dict[str, Any]) -> tuple[int, int]:
    networks = document.get("networks", {}).values()
    return sum(one["rx_bytes"] for one in networks), sum(one["tx_bytes"] for one in networks)


def _disks(document: dict[str, Any]) -> tuple[int | None, int | None]:
    entries = document["blkio_stats"].get("io_service_bytes_recursive")
    if entries is None:
        return None, None
    read, written = (sum(each["value"] for each in entries if each["op"] == op) for op in ("read", "write"))
    return read, written


def _pair(first: int | None, second: int | None, told: Callable[[float], str]) -> str:
    if first is None or second is None:
        return _UNKNOWN
    return f"{told(first)} / {told(second)}"


def _human(value: float) -> str:
    return size(value, 3)


def _text(found: list[dict[str, str]], form: str) -> str:
    return "\n".join(LISTING.lines(found, form))


@contextlib.contextmanager
def _screen(form: str) -> Iterator[Callable[[list[dict[str, str]]], object]]:
    """Where the rows of each second go: over those before on a terminal, below them in a pipe."""
    if not sys.stdout.isatty():
        yield lambda found: print(_text(found, form), flush=True)
        return
    from rich.live import Live

    with Live(auto_refresh=False, vertical_overflow="visible") as live:
        yield lambda found: live.update(_picture(found, form), refresh=True)


def _picture(found: list[dict[str, str]], form: str) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    if form not in ("", "table"):
        return Text(_text(found, form))
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    columns = [name for name in LISTING.heads if name != "Container"]
    for name in columns:
        table.add_column(str(LISTING.heads[name]), justify="left" if name in ("ID", "Name") else "right", no_wrap=True)
    for each in found:
        table.add_row(*(Text(each[name]) for name in columns))
    return table
