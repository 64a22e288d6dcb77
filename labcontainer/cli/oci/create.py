"""``lab-runtime create``, ``start`` and ``run``."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from labcontainer.cli.oci import Session
from labcontainer.errors import LabError, SpecError, StateError
from labcontainer.kernel import process
from labcontainer.kernel.process import Child
from labcontainer.oci.bundle import Bundle
from labcontainer.oci.runtime_spec import Spec
from labcontainer.runtime import hooks, launch, log, oci_state, unserved
from labcontainer.runtime.launch import Launched, Order
from labcontainer.runtime.life import Status
from labcontainer.runtime.oci_state import OciState, Place
from labcontainer.runtime.state import ProcessId

F = TypeVar("F", bound=Callable[..., Any])
_path = click.Path(path_type=Path)
_OPTIONS = (
    click.option("-b", "--bundle", type=_path, default=Path(), help="The bundle's directory, . if left out."),
    click.option("--console-socket", type=_path, help="Send the terminal's controlling side to this socket."),
    click.option("--pid-file", type=_path, help="Write init's pid to this file."),
    click.option("--preserve-fds", type=int, default=0, help="Descriptors from 3 on that the command inherits."),
    click.option("--no-pivot", is_flag=True, help="Refused: without pivot_root the host's root stays in reach."),
    click.option("--no-new-keyring", is_flag=True, help="Keep the caller's session keyring, and all keys in it."),
)


def _creating(function: F) -> F:
    """Give a command the options of create and run."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.command()
@_creating
@click.argument("id")
@click.pass_obj
def create(session: Session, /, id: str, **given: Any) -> None:
    """Make the container ID from a bundle; its command waits for start."""
    _make(session.place(id), given)


@click.command()
@click.argument("id")
@click.pass_obj
def start(session: Session, id: str) -> None:
    """Let the command of a created container run."""
    begin(session.place(id))


@click.command()
@_creating
@click.option("-d", "--detach", is_flag=True, help="Do not wait for it.")
@click.option("--keep", is_flag=True, help="Do not delete it when it has ended.")
@click.argument("id")
@click.pass_obj
def run(session: Session, /, id: str, detach: bool, keep: bool, **given: Any) -> None:
    """Create, start and, unless it is detached, wait for the container ID and delete it."""
    from labcontainer.cli.oci.manage import remove

    place = session.place(id)
    child = _make(place, given)
    try:
        begin(place)
    except LabError:
        remove(place, force=True)
        raise
    if detach:
        return
    code = process.wait(child)
    if not keep:
        remove(place, force=True)
    sys.exit(code)


def _make(place: Place, given: dict[str, Any]) -> Child:
    if given["no_pivot"]:
        raise click.UsageError("--no-pivot: without pivot_root a container reaches the host's root")
    return make(
        place, given["bundle"], given["console_socket"], given["pid_file"], given["preserve_fds"],
        new_keyring=not given["no_new_keyring"],
    )  # fmt: skip


def make(
    place: Place, bundle: Path, console: Path | None, pid_file: Path | None, preserve_fds: int, *, new_keyring: bool
) -> Child:
    """Create the container of `place`; who has made it may go. Raises: LabError; nothing is left of it then."""
    bundle = bundle.absolute()
    unserved.refuse(bundle)
    spec = Bundle(bundle).read()
    _check_console(spec, console)
    place.make()
    made = Launched()
    try:
        # umask and directory are the caller's, who may be anybody: what we make must not depend on them.
        os.umask(0o022)
        cgroup_name = (spec.linux.cgroups_path if spec.linux else None) or place.id
        stdio = None if console else (0, 1, 2)
        order = Order(spec, bundle, cgroup=cgroup_name, stdio=stdio, fifo=place.fifo, id=place.id,
                      preserve_fds=preserve_fds, new_keyring=new_keyring)  # fmt: skip
        launch.launch(order, made)
        assert made.child is not None
        freezer = str(made.cgroup.freezer or "") if made.cgroup else ""
        state = OciState(
            place.id, str(bundle), str(order.rootfs), spec.oci_version, ProcessId.of(made.child.pid),
            log.timestamp(time.time_ns()), cgroup_name, freezer, spec.annotations,
        )  # fmt: skip
        if console is not None and made.terminal is not None:
            send_terminal(console, made.terminal)
        if pid_file is not None:
            write_pid(pid_file, made.child.pid)
        place.save(state)
        return made.child
    except BaseException:
        with contextlib.suppress(LabError):
            made.clear()
        place.forget()
        raise


def begin(place: Place) -> None:
    """Start the container of `place`. Raises: StateError, InitError."""
    with place.locked():
        state = place.load()
        status = place.status(state)
        if status is not Status.CREATED:
            raise StateError(place.id, status, "start", "only a created container can be started")
        # Opened so that it does not wait: where nobody reads, init has gone.
        try:
            fd = os.open(place.fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            raise StateError(place.id, Status.STOPPED, "start", "its init has gone") from None
        os.write(fd, b"0")
        os.close(fd)
        place.fifo.unlink()
        spec = Bundle(Path(state.bundle)).read()
        hooks.run(spec.hooks, "poststart", oci_state.document(state, Status.RUNNING))


def _check_console(spec: Spec, console: Path | None) -> None:
    terminal = spec.process is not None and spec.process.terminal
    if terminal and console is None:
        raise SpecError("config.process.terminal: a terminal needs --console-socket, to which it is sent")
    if console is not None and not terminal:
        raise SpecError("--console-socket: config.process.terminal asks for no terminal")


def send_terminal(path: Path, controller: int) -> None:
    """Hand the controlling side of a terminal to whoever listens at `path`, and keep nothing. Raises: OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(path))
        socket.send_fds(connection, [b"/dev/ptmx"], [controller])
    os.close(controller)


def write_pid(path: Path, pid: int) -> None:
    """Put `pid` into the file at `path`, whole. Raises: OSError."""
    beside = path.with_name(f".{path.name}")
    beside.write_text(str(pid))
    os.replace(beside, path)
