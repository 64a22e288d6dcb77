"""``lab info`` and ``lab version``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from labcontainer.cli import Session, units
from labcontainer.cli.template import Struct, Template

_format = click.option(
    "-f", "--format", "form", default="", metavar="json|TEMPLATE", help="Print it with a Go template."
)


@click.command()
@_format
@click.pass_obj
def info(session: Session, form: str) -> None:
    """Show what this engine is, and on what machine."""
    known = session.engine().info()
    if form:
        _formatted("system.dockerInfo", known, form)
        return
    for line in _info(known):
        click.echo(line)


@click.command()
@_format
@click.pass_obj
def version(session: Session, form: str) -> None:
    """Show the versions of what runs here.

    There is no daemon: what docker calls client and server is one program.
    """
    known = session.engine().version()
    if form:
        client = {name: known[name] for name in ("Version", "PythonVersion", "Os", "Arch")}
        _formatted("system.versionInfo", {"Client": client, "Server": known}, form)
        return
    click.echo("labcontainer:")
    for name, value in (
        ("Version", known["Version"]),
        ("Python version", known["PythonVersion"]),
        ("OS/Arch", f"{known['Os']}/{known['Arch']}"),
        ("Kernel version", known["KernelVersion"]),
    ):
        click.echo(f" {name + ':':<18} {value}")


def _formatted(type_name: str, known: Mapping[str, Any], form: str) -> None:
    text = "{{json .}}" if form == "json" else form
    click.echo(Template(text).render(Struct(type_name, known)))


def _info(known: Mapping[str, Any]) -> Iterator[str]:
    """Docker's lines, without those for what there is not here."""
    yield f"Containers: {known['Containers']}"
    for name in ("Running", "Paused", "Stopped"):
        yield f" {name}: {known[f'Containers{name}']}"
    yield f"Images: {known['Images']}"
    yield f"Server Version: {known['ServerVersion']}"
    yield f"Storage Driver: {known['Driver']}"
    yield from (f" {name}: {value}" for name, value in known["DriverStatus"])
    yield f"Logging Driver: {known['LoggingDriver']}"
    yield f"Cgroup Driver: {known['CgroupDriver']}"
    yield f"Cgroup Version: {known['CgroupVersion']} ({known['CgroupHierarchies']})"
    yield "Security Options:"
    yield from _security(known["SecurityOptions"])
    yield f"Kernel Version: {known['KernelVersion']}"
    yield f"Operating System: {known['OperatingSystem']}"
    yield f"OSType: {known['OSType']}"
    yield f"Architecture: {known['Architecture']}"
    yield f"CPUs: {known['NCPU']}"
    yield f"Total Memory: {units.binary_size(known['MemTotal'])}"
    yield f"Name: {known['Name']}"
    yield f"Root Dir: {known['DockerRootDir']}"
    yield f"Run Dir: {known['RunDir']}"
    yield from (f"WARNING: {warning}" for warning in known["Warnings"])


def _security(options: list[str]) -> Iterator[str]:
    for text in options:
        first, *rest = (part.partition("=")[2] for part in text.split(","))
        yield f" {first}"
        yield from (f"  Profile: {profile}" for profile in rest)
