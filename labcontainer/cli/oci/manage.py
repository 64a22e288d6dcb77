"""``lab-runtime state``, ``kill``, ``delete``, ``pause`` and ``resume``."""

from __future__ import annotations

import contextlib
import json
import os
import signal as signals
import time
from pathlib import Path

import click

from labcontainer.cli.oci import Session
from labcontainer.engine import signals as signal_names
from labcontainer.errors import LabError, NotFound, SpecError, StateError
from labcontainer.kernel import cgroup
from labcontainer.oci.bundle import Bundle
from labcontainer.runtime import hooks, oci_state
from labcontainer.runtime.life import Status
from labcontainer.runtime.oci_state import OciState, Place

_KILL_S = 10.0


@click.command()
@click.argument("id")
@click.pass_obj
def state(session: Session, id: str) -> None:
    """Print the state of the container ID."""
    place = session.place(id)
    found = place.load()
    click.echo(json.dumps(oci_state.document(found, place.status(found)), indent=2))


@click.command()
@click.option("-a", "--all", "every", is_flag=True, help="To every process of it.")
@click.argument("id")
@click.argument("signal", default="SIGTERM")
@click.pass_obj
def kill(session: Session, id: str, signal: str, every: bool) -> None:
    """Send a signal to the container's init."""
    place, number = session.place(id), signal_names.number(signal)
    found = place.load()
    status = place.status(found)
    if every and found.cgroup:
        _signal_all(found, number)
    elif status is Status.STOPPED:
        raise StateError(id, status, "kill", "container not running")
    else:
        signal_names.send(found.init, number)
    if number == signals.SIGKILL and status is Status.PAUSED:
        with contextlib.suppress(LabError):  # version 1 lets the frozen die only once they are thawed
            cgroup.open(found.cgroup).thaw()


@click.command()
@click.option("-f", "--force", is_flag=True, help="Kill it first; no error where there is none.")
@click.argument("id")
@click.pass_obj
def delete(session: Session, id: str, force: bool) -> None:
    """Remove what was made for a container that has ended."""
    try:
        remove(session.place(id), force=force)
    except NotFound:
        if not force:
            raise


@click.command()
@click.argument("id")
@click.pass_obj
def pause(session: Session, id: str) -> None:
    """Stop every process of the container where it stands."""
    _freeze(session.place(id), "pause", (Status.RUNNING, Status.CREATED))


@click.command()
@click.argument("id")
@click.pass_obj
def resume(session: Session, id: str) -> None:
    """Let a paused container go on."""
    _freeze(session.place(id), "resume", (Status.PAUSED,))


def remove(place: Place, *, force: bool) -> None:
    """Delete the container of `place`. Raises: StateError where it runs and `force` is not given."""
    with place.locked():
        try:
            found = place.load()
        except (NotFound, SpecError):
            # Its create was killed before it could write anything down.
            place.forget()
            return
        status = place.status(found)
        if status not in (Status.STOPPED, Status.CREATED) and not force:
            raise StateError(place.id, status, "delete", "stop it first, or use --force")
        if status is not Status.STOPPED:
            _end(found)
        with contextlib.suppress(LabError):
            group = cgroup.open(found.cgroup)
            group.kill()
            group.remove()
        place.forget()
    with contextlib.suppress(SpecError):
        spec = Bundle(Path(found.bundle)).read()
        hooks.run(spec.hooks, "poststop", oci_state.document(found, Status.STOPPED))


def _end(found: OciState) -> None:
    signal_names.send(found.init, signals.SIGKILL)
    with contextlib.suppress(LabError):
        cgroup.open(found.cgroup).thaw()
    signal_names.ends(found.init, time.monotonic() + _KILL_S)


def _signal_all(found: OciState, number: int) -> None:
    for pid in cgroup.open(found.cgroup).pids():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _freeze(place: Place, verb: str, allowed: tuple[Status, ...]) -> None:
    with place.locked():
        found = place.load()
        status = place.status(found)
        if status not in allowed:
            raise StateError(place.id, status, verb)
        group = cgroup.open(found.cgroup)
        group.freeze() if verb == "pause" else group.thaw()
