"""``lab rename`` and ``lab port``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import click

from labcontainer.cli import Session
from labcontainer.cli.completion import containers
from labcontainer.errors import NotFound, UsageError

_PORT = re.compile(r"(?P<number>\d+)(?:/(?P<protocol>\w+))?")
_LARGEST_PORT = (1 << 16) - 1


@click.command()
@click.argument("name", metavar="CONTAINER", shell_complete=containers())
@click.argument("new_name", metavar="NEW_NAME")
@click.pass_obj
def rename(session: Session, name: str, new_name: str) -> None:
    """Give a container, running or not, another name."""
    session.engine().containers.get(name).rename(new_name)


@click.command()
@click.argument("name", metavar="CONTAINER", shell_complete=containers())
@click.argument("private_port", required=False, metavar="[PORT[/PROTOCOL]]")
@click.pass_obj
def port(session: Session, name: str, private_port: str | None) -> None:
    """List the ports of a container that the host answers at, or where one of them is found."""
    for line in published(session.engine().containers.get(name).ports, name, private_port):
        click.echo(line)


def published(ports: Mapping[str, Sequence[Mapping[str, str]] | None], name: str, wanted: str | None) -> list[str]:
    """What is printed of docker's ``NetworkSettings.Ports``: ``80/tcp -> 0.0.0.0:8080``, of one port ``0.0.0.0:8080``.

    Raises: NotFound, UsageError.
    """
    if wanted is not None:
        found = ports.get(_normal(wanted))
        if not found:
            raise NotFound("published port", wanted, f"{name} has none, or others: lab port {name} lists them")
        return [_address(binding) for binding in found]
    return [f"{inside} -> {_address(one)}" for inside in sorted(ports, key=_order) for one in ports[inside] or ()]


def _address(binding: Mapping[str, str]) -> str:
    host = binding["HostIp"]
    return f"{f'[{host}]' if ':' in host else host}:{binding['HostPort']}"


def _order(port: str) -> tuple[int, str]:
    number, _, protocol = port.partition("/")
    return int(number), protocol


def _normal(text: str) -> str:
    match = _PORT.fullmatch(text)
    if not match or int(match["number"]) > _LARGEST_PORT:
        raise UsageError("port", text, f"write 80, 80/tcp or 53/udp; {_LARGEST_PORT} is the last")
    return f"{int(match['number'])}/{match['protocol'] or 'tcp'}"
