"""The verbs about a container's files and processes: cp, diff, export, top."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import click

from labcontainer.cli import Session
from labcontainer.cli.completion import containers, paths
from labcontainer.cli.table import table
from labcontainer.cli.units import size
from labcontainer.engine import copy, copy_rules, files, top
from labcontainer.engine.copy import Copied
from labcontainer.errors import NotFound


@click.command()
@click.option("-a", "--archive", is_flag=True, help="Owners: out, as root, the same numbers; in, the container's user.")
@click.option("-L", "--follow-link", is_flag=True, help="Copy what SRC leads to, not the link.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing of what was copied.")
@click.argument("source", metavar="SRC", shell_complete=paths)
@click.argument("destination", metavar="DEST", shell_complete=paths)
@click.pass_obj
def cp(session: Session, source: str, destination: str, archive: bool, follow_link: bool, quiet: bool) -> None:
    """Copy files between a container, running or not, and the host.

    One of SRC and DEST is CONTAINER:PATH. "-" as the other is a tar archive, to stdout or from stdin. A directory that
    is there gets SRC in it; SRC/. means what is in the directory SRC. Onto the host come no device nodes, no
    set-user-ID bits and no file capabilities.
    """
    (from_name, from_path), (to_name, to_path) = map(copy_rules.split_argument, (source, destination))
    if from_name and to_name:
        raise click.UsageError("copying between containers is not supported")
    if not from_name and not to_name:
        raise click.UsageError("one of SRC and DEST must be CONTAINER:PATH")
    container = session.engine().containers.get(from_name or to_name)
    if to_path == "-" and from_name:
        _write(container.get_archive(from_path)[0], sys.stdout.fileno())
        return
    with files.naming(container.name), container.visit() as visit:
        owner = files.user(container.directory) if archive else None
        if from_name:
            done = copy.copy_from(visit, from_path, to_path, follow_link=follow_link, archive=archive)
        elif from_path == "-":
            done = copy.unpack(visit, sys.stdin.buffer, to_path, owner=owner)
        else:
            done = copy.copy_to(visit, from_path, to_path, follow_link=follow_link, owner=owner)
    _report(done, "" if from_name else f"{container.name}:", quiet=quiet or not sys.stderr.isatty())


@click.command()
@click.argument("name", metavar="CONTAINER", shell_complete=containers())
@click.pass_obj
def diff(session: Session, name: str) -> None:
    """Show what a container has changed in its root: A added, C changed, D deleted."""
    terminal = sys.stdout.isatty()
    lines = (f"{files.letter(each)} {each['Path']}" for each in session.engine().containers.get(name).diff())
    # A container chooses its names: on a terminal one of them must not act as a command to it.
    text = "".join(f"{top.printable(line) if terminal else line}\n" for line in lines)
    _write([os.fsencode(text)], sys.stdout.fileno())


@click.command()
@click.option("-o", "--output", metavar="FILE", help="Write to a file instead of stdout.")
@click.argument("name", metavar="CONTAINER", shell_complete=containers())
@click.pass_obj
def export(session: Session, name: str, output: str | None) -> None:
    """Write the whole root of a container as a tar archive, without what is mounted in it."""
    if output is None and sys.stdout.isatty():
        raise click.UsageError("cowardly refusing to save to a terminal; use -o FILE, or redirect")
    if output is not None and not Path(output).absolute().parent.is_dir():
        raise NotFound("directory", str(Path(output).absolute().parent))
    chunks = session.engine().containers.get(name).export()
    if output is None:
        _write(chunks, sys.stdout.fileno())
    else:
        write_out(Path(output), lambda file: file.writelines(chunks))


@click.command("top", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("name", metavar="CONTAINER", shell_complete=containers())
@click.argument("ps_options", nargs=-1, type=click.UNPROCESSED, metavar="[PS OPTIONS]")
@click.pass_obj
def top_(session: Session, name: str, ps_options: tuple[str, ...]) -> None:
    """List the processes of a container under the host's numbers; PS OPTIONS are those of the host's ps."""
    found = session.engine().containers.get(name).top(" ".join(ps_options) or None)
    click.echo(table(found["Titles"], found["Processes"]))


def _report(done: Copied, container: str, *, quiet: bool) -> None:
    for note in done.notes:
        click.echo(top.printable(note), err=True)
    if not quiet:
        click.echo(f"Successfully copied {size(done.size_bytes, 3)} to {container}{done.destination}", err=True)


def _write(chunks: Iterable[bytes], fd: int) -> None:
    for chunk in chunks:
        files.write_all(fd, chunk)


def write_out(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Have `write` write the file `path`; what is there stays as it is until the new one is whole. Raises: OSError."""
    fd, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.absolute().parent)
    try:
        with open(fd, "wb") as file:
            write(file)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(beside, 0o666 & ~umask)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
