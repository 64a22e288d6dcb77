"""The flags that limit a container, for ``lab run``, ``create`` and ``explain run``; and ``lab update``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from labcontainer.cli import Session
from labcontainer.cli.completion import containers
from labcontainer.cli.each import each

# What docker can change while the container runs.
_UPDATE = (
    click.option("-m", "--memory", "mem_limit", metavar="SIZE", help="Most memory: 64m, 1g."),
    click.option("--memory-swap", "memswap_limit", metavar="SIZE", help="Most memory and swap together; -1: no limit."),
    click.option("--memory-reservation", "mem_reservation", metavar="SIZE", help="Memory to keep in a shortage."),
    click.option("--cpus", "cpus", type=float, metavar="N", help="Most CPUs: 0.5."),
    click.option("-c", "--cpu-shares", "cpu_shares", type=int, metavar="N", help="Weight against others: 2 to 262144."),
    click.option("--cpu-period", "cpu_period", type=int, metavar="µs", help="Length of a period: 1000 to 1000000."),
    click.option("--cpu-quota", "cpu_quota", type=int, metavar="µs", help="CPU time in each period."),
    click.option("--cpuset-cpus", "cpuset_cpus", metavar="LIST", help="CPUs to run on: 0-2,5."),
    click.option("--cpuset-mems", "cpuset_mems", metavar="LIST", help="Memory nodes to use: 0,1."),
    click.option("--pids-limit", "pids_limit", type=int, metavar="N", help="Most processes and threads."),
    click.option("--blkio-weight", "blkio_weight", type=int, metavar="N", help="Weight of disk I/O: 10 to 1000."),
)
_DISKS = tuple(
    click.option(f"--device-{way}-{kind}", f"device_{way}_{kind}", multiple=True, metavar="DEVICE:RATE", help=text)
    for way, kind, text in (
        ("read", "bps", "Most bytes read in a second: /dev/sda:1mb."),
        ("read", "iops", "Most reads in a second."),
        ("write", "bps", "Most bytes written in a second."),
        ("write", "iops", "Most writes in a second."),
    )
)
FLAGS = (
    *_UPDATE,
    click.option("--memory-swappiness", "mem_swappiness", type=int, metavar="N", help="Readiness to swap: 0 to 100."),
    click.option("--oom-kill-disable", "oom_kill_disable", is_flag=True, help="Wait for memory, do not kill."),
    click.option("--oom-score-adj", "oom_score_adj", type=int, metavar="N", help="Whom to kill first: -1000 to 1000."),
    click.option(
        "--blkio-weight-device",
        "blkio_weight_device",
        multiple=True,
        metavar="DEVICE:WEIGHT",
        help="One disk's weight.",
    ),
    *_DISKS,
)


def rename(chosen: dict[str, Any]) -> None:
    """Turn --cpus into docker-py's keyword, in place."""
    cpus = chosen.pop("cpus", None)
    if cpus is not None:
        chosen["nano_cpus"] = -1 if cpus == -1 else cpus * 10**9


def restart_policy(text: str) -> dict[str, Any]:
    """``on-failure:3`` as docker-py's restart_policy. Raises: click.UsageError."""
    policy, _, retries = text.partition(":")
    if retries and not retries.isdigit():
        raise click.UsageError(f"--restart {text}: the number of retries must be a whole number")
    return {"Name": policy, "MaximumRetryCount": int(retries or 0)}


def _flags(function: Callable[..., None]) -> Callable[..., None]:
    for option in reversed((*_UPDATE, *_DISKS)):
        function = option(function)
    return function


@click.command()
@_flags
@click.option("--restart", metavar="no|on-failure[:N]|always|unless-stopped", help="When it has ended.")
@click.argument("names", nargs=-1, required=True, metavar="CONTAINER...", shell_complete=containers())
@click.pass_obj
def update(session: Session, /, names: tuple[str, ...], restart: str | None, **given: Any) -> None:
    """Give containers other limits, now and for every start to come; -1 takes one away."""
    chosen = {name: value for name, value in given.items() if value not in (None, ())}
    rename(chosen)
    if restart is not None:
        chosen["restart_policy"] = restart_policy(restart)
    if not chosen:
        raise click.UsageError("say what is to be changed: one of the flags that lab update --help lists")
    each(session, names, lambda container: container.update(**chosen) and None)
