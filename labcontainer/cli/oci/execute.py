"""``lab-runtime exec``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from labcontainer.cli.oci import Session
from labcontainer.cli.oci.create import send_terminal, write_pid
from labcontainer.errors import SpecError, StateError
from labcontainer.kernel import process
from labcontainer.oci import fields
from labcontainer.oci.bundle import Bundle
from labcontainer.oci.runtime_spec import Capabilities, Process, User
from labcontainer.runtime import channel, join, launch, sealed
from labcontainer.runtime.life import Status
from labcontainer.runtime.oci_state import OciState
from labcontainer.runtime.state import State, boot_id

_path = click.Path(path_type=Path)


@click.command("exec", context_settings={"allow_interspersed_args": False})
@click.option("-p", "--process", "process_file", type=click.Path(exists=True, path_type=Path), help="A process.json.")
@click.option("-d", "--detach", is_flag=True, help="Do not wait for it.")
@click.option("--console-socket", type=_path, help="Send the terminal's controlling side to this socket.")
@click.option("--pid-file", type=_path, help="Write the new process's pid to this file.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
@click.option("-e", "--env", "environment", multiple=True, metavar="NAME=VALUE")
@click.option("--cwd", help="Working directory inside.")
@click.option("-u", "--user", metavar="UID[:GID]")
@click.option("-g", "--additional-gids", type=int, multiple=True)
@click.option("-c", "--cap", "capabilities", multiple=True, help="A capability beyond the container's.")
@click.option("--no-new-privs", is_flag=True)
@click.option("--preserve-fds", type=int, default=0, help="Descriptors from 3 on that the command inherits.")
@click.option("--ignore-paused", is_flag=True, help="Also where the container is paused.")
@click.argument("id")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def execute(
    session: Session, /, id: str, process_file: Path | None, command: tuple[str, ...], detach: bool,
    console_socket: Path | None, pid_file: Path | None, preserve_fds: int, ignore_paused: bool, **given: Any,
) -> None:  # fmt: skip
    """Run one more command in the container ID; exits as it does."""
    place = session.place(id)
    state = place.load()
    status = place.status(state)
    if status not in (Status.RUNNING, Status.CREATED) and not (status is Status.PAUSED and ignore_paused):
        raise StateError(id, status, "exec")
    if _could_look_into_us(state):
        sealed.become()
    config = _process(state, process_file, command, given)
    if config.terminal and console_socket is None:
        raise SpecError("process.terminal: a terminal needs --console-socket, to which it is sent")
    stdio = None if config.terminal else (0, 1, 2)
    joined = join.join(Path(state.bundle), _known(state), config, stdio, preserve_fds=preserve_fds)
    if console_socket is not None and joined.terminal is not None:
        send_terminal(console_socket, joined.terminal)
    message = channel.receive(joined.channel)
    if message is not None:
        process.wait(joined.child)
        raise launch.failure(message)
    if pid_file is not None:
        write_pid(pid_file, joined.child.pid)
    if not detach:
        sys.exit(process.wait(joined.child))


def _could_look_into_us(state: OciState) -> bool:
    """CAP_SYS_PTRACE in our own user namespace: that we are not dumpable does not keep such a container out."""
    spec = Bundle(Path(state.bundle)).read()
    held = spec.process.capabilities if spec.process else None
    own_user = any(namespace.type == "user" for namespace in spec.linux.namespaces) if spec.linux else False
    return not own_user and (held is None or "CAP_SYS_PTRACE" in held.bounding)


def _known(state: OciState) -> State:
    cgroup = state.cgroup or None
    return State(state.id, Status.RUNNING, boot_id(), init=state.init, cgroup=cgroup)


def _process(state: OciState, file: Path | None, command: tuple[str, ...], given: dict[str, Any]) -> Process:
    if file is not None:
        if command:
            raise click.UsageError("the command is in the process file: give no other")
        return fields.read(Process, fields.parse(file.read_bytes(), str(file)), "process")
    base = Bundle(Path(state.bundle)).read().process
    if base is None or not command:
        raise click.UsageError("name the command, or a process file with --process")
    return replace(
        base,
        args=command,
        terminal=given["tty"],
        console_size=base.console_size if given["tty"] else None,
        env=(*base.env, *given["environment"]),
        cwd=given["cwd"] or base.cwd,
        user=_user(base.user, given["user"], given["additional_gids"]),
        capabilities=_more(base.capabilities, given["capabilities"]),
        no_new_privileges=base.no_new_privileges or given["no_new_privs"],
    )


def _user(base: User, text: str | None, groups: tuple[int, ...]) -> User:
    if text is None:
        return replace(base, additional_gids=(*base.additional_gids, *groups))
    uid, _, gid = text.partition(":")
    if not uid.isdigit() or not (gid or "0").isdigit():
        raise click.UsageError(f"--user {text}: give numbers, UID or UID:GID")
    return User(int(uid), int(gid or 0), base.umask, groups)


def _more(base: Capabilities | None, names: tuple[str, ...]) -> Capabilities | None:
    if base is None or not names:
        return base
    # Not inheritable: a program's file capabilities would then give them to whoever runs it (CVE-2022-29162).
    return replace(base, **{kind: (*getattr(base, kind), *names) for kind in ("bounding", "effective", "permitted")})
