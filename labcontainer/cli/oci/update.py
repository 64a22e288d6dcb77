"""``lab-runtime update``: limits of a container that runs."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from labcontainer.cli.oci import Session
from labcontainer.errors import StateError
from labcontainer.kernel import cgroup
from labcontainer.oci import fields
from labcontainer.oci.resources import BlockIo, Cpu, Memory, Pids, Resources
from labcontainer.runtime import resources
from labcontainer.runtime.life import Status

# flag → (part of the resources, its field)
_FLAGS = {
    "memory": ("memory", "limit"),
    "memory_reservation": ("memory", "reservation"),
    "memory_swap": ("memory", "swap"),
    "cpu_shares": ("cpu", "shares"),
    "cpu_quota": ("cpu", "quota"),
    "cpu_period": ("cpu", "period"),
    "cpuset_cpus": ("cpu", "cpus"),
    "cpuset_mems": ("cpu", "mems"),
    "pids_limit": ("pids", "limit"),
    "blkio_weight": ("block_io", "weight"),
}
_PARTS: dict[str, Any] = {"memory": Memory, "cpu": Cpu, "pids": Pids, "block_io": BlockIo}


@click.command()
@click.option("-r", "--resources", "file", help="A file with linux.resources as JSON, - for stdin.")
@click.option("--memory", type=int, help="Bytes; -1 for no limit.")
@click.option("--memory-reservation", type=int, help="Bytes.")
@click.option("--memory-swap", type=int, help="Bytes of memory and swap together.")
@click.option("--cpu-share", "--cpu-shares", "cpu_shares", type=int)
@click.option("--cpu-quota", type=int, help="Microseconds of each period.")
@click.option("--cpu-period", type=int, help="Microseconds.")
@click.option("--cpuset-cpus")
@click.option("--cpuset-mems")
@click.option("--pids-limit", type=int)
@click.option("--blkio-weight", type=int)
@click.argument("id")
@click.pass_obj
def update(session: Session, /, id: str, file: str | None, **given: Any) -> None:
    """Change the limits of the container ID."""
    place = session.place(id)
    with place.locked():
        state = place.load()
        status = place.status(state)
        if status is Status.STOPPED:
            raise StateError(id, status, "update")
        wanted = Resources()
        if file is not None:
            data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
            # The devices of a container are not changed while it runs, whatever the file says of them: as runc.
            wanted = replace(fields.read(Resources, fields.parse(data, file), "resources"), devices=())
        cgroup.open(state.cgroup).set(resources.limits(_with_flags(wanted, given)))


def _with_flags(wanted: Resources, given: dict[str, Any]) -> Resources:
    for flag, (part, name) in _FLAGS.items():
        if given[flag] is not None:
            old = getattr(wanted, part)
            changed = {name: given[flag]}
            wanted = replace(wanted, **{part: replace(old, **changed) if old else _PARTS[part](**changed)})
    return wanted
