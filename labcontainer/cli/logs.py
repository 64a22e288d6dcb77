"""``lab logs``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator

import click

from labcontainer.cli import Session
from labcontainer.cli.completion import containers
from labcontainer.engine import logs as engine_logs
from labcontainer.runtime.log import Record


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on until the container has ended.")
@click.option("--since", metavar="TIME", help="What was written from then on: 10m (ago), 2026-01-31T12:00, 1767225600.")
@click.option("--until", metavar="TIME", help="What was written until then.")
@click.option("-n", "--tail", default="all", show_default=True, metavar="LINES", help="The last lines alone.")
@click.option("-t", "--timestamps", is_flag=True, help="Put its time before each line.")
@click.argument("name", metavar="CONTAINER", shell_complete=containers())
@click.pass_obj
def logs(
    session: Session, name: str, follow: bool, since: str | None, until: str | None, tail: str, timestamps: bool
) -> None:
    """Print what a container has written, its stdout to stdout and its stderr to stderr."""
    container = session.engine().containers.get(name)
    wanted = engine_logs.selection(stdout=True, stderr=True, tail=tail, since=since, until=until)
    found = _saying_what_is_missing(engine_logs.records(container.directory, wanted, follow=follow))
    outputs = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    before = "stdout"
    with _colours_off():
        for stream, data in engine_logs.pieces(found, timestamps=timestamps):
            if stream != before:
                # On a terminal, or behind 2>&1, both go to one place: in the order in which they were written.
                outputs[before].flush()
                before = stream
            outputs[stream].write(data)
            if follow:
                outputs[stream].flush()
        outputs[before].flush()


def _saying_what_is_missing(found: Iterable[Record]) -> Iterator[Record]:
    for record in found:
        if record.dropped_bytes:
            click.echo(
                f"lab: {record.dropped_bytes} bytes of output are missing here: they could not be written", err=True
            )
        yield record


@contextlib.contextmanager
def _colours_off() -> Iterator[None]:
    """Leave the terminal as it was, whatever colour the output has switched on last."""
    try:
        yield
    finally:
        if sys.stdout.isatty():
            sys.stdout.write("\x1b[0m")
            sys.stdout.flush()
