"""``lab-runtime list``, ``ps``, ``events``, ``features`` and ``spec``: what only looks."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from labcontainer.cli.oci import Session
from labcontainer.cli.table import table
from labcontainer.errors import Conflict, LabError, StateError
from labcontainer.kernel import cgroup, file
from labcontainer.kernel.capabilities import Capability
from labcontainer.oci.runtime_spec import NAMESPACES
from labcontainer.runtime import oci_state
from labcontainer.runtime.life import Status

_HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


@click.command("list")
@click.option("-f", "--format", "form", type=click.Choice(["table", "json"]), default="table")
@click.option("-q", "--quiet", is_flag=True, help="Ids alone.")
@click.pass_obj
def list_(session: Session, form: str, quiet: bool) -> None:
    """List the containers of this root."""
    found = []
    for place in oci_state.every(session.root):
        try:
            state = place.load()
        except LabError:
            continue  # it is just being made, or deleted
        found.append(oci_state.document(state, place.status(state)))
    if quiet:
        for each in found:
            click.echo(each["id"])
    elif form == "json":
        click.echo(json.dumps(found))
    else:
        names = ("id", "pid", "status", "bundle", "created", "owner")
        click.echo(table(tuple(name.upper() for name in names), [tuple(str(each[n]) for n in names) for each in found]))


@click.command()
@click.option("-f", "--format", "form", type=click.Choice(["table", "json"]), default="table")
@click.argument("id")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def ps(session: Session, id: str, form: str, options: tuple[str, ...]) -> None:
    """List the processes of the container ID, by their numbers on the host."""
    state = session.place(id).load()
    pids = cgroup.open(state.cgroup).pids()
    if form == "json":
        click.echo(json.dumps(pids))
        return
    rows = [(str(pid), file.read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()) for pid in pids]
    click.echo(table(("PID", "CMD"), rows))


@click.command()
@click.option("--stats", is_flag=True, help="Print them once.")
@click.option("--interval", type=float, default=5.0, show_default=True, help="Seconds between two.")
@click.argument("id")
@click.pass_obj
def events(session: Session, id: str, stats: bool, interval: float) -> None:
    """Print what the container ID uses, as JSON, a line each."""
    place = session.place(id)
    while True:
        state = place.load()
        if place.status(state) is Status.STOPPED:
            if stats:
                raise StateError(id, Status.STOPPED, "events")
            return
        group = cgroup.open(state.cgroup)
        data = {"usage": asdict(group.usage()), "events": asdict(group.events())}
        click.echo(json.dumps({"type": "stats", "id": id, "data": data}))
        if stats:
            return
        time.sleep(interval)


@click.command()
def features() -> None:
    """Print what this runtime can do. See: runtime-spec v1.2.0 features.md"""
    known: dict[str, Any] = {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.2.0",
        "hooks": list(_HOOKS),
        "mountOptions": sorted(_mount_options()),
        "linux": {
            "namespaces": sorted(NAMESPACES),
            "capabilities": [capability.name for capability in Capability],
            "cgroup": {"v1": True, "v2": True, "systemd": False, "systemdUser": False},
            "seccomp": {"enabled": True},
            "apparmor": {"enabled": False},
            "selinux": {"enabled": False},
        },
        "annotations": {"org.labcontainer.version": version("labcontainer")},
    }
    click.echo(json.dumps(known, indent=2))


@click.command()
@click.option("-b", "--bundle", type=click.Path(path_type=Path), default=Path())
@click.option("--rootless", is_flag=True, help="With a user namespace for the caller.")
def spec(bundle: Path, rootless: bool) -> None:
    """Write a config.json to begin with."""
    from labcontainer.runtime.sample import sample

    target = bundle / "config.json"
    if target.exists():
        raise Conflict("file", str(target), "exists: remove it first")
    target.write_text(json.dumps(sample(rootless=rootless).to_json(), indent="\t"))


def _mount_options() -> set[str]:
    from labcontainer.runtime import mount_options

    return mount_options.names()
