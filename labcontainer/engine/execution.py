"""``exec``: the process that is to join a container, in the runtime specification's words, and its result."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from labcontainer.engine import options, record, user
from labcontainer.engine.options import Command
from labcontainer.errors import UsageError
from labcontainer.kernel.capabilities import Capability, read
from labcontainer.oci import fields
from labcontainer.oci.bundle import Bundle
from labcontainer.oci.runtime_spec import Capabilities, Process, User
from labcontainer.runtime.client import Connection
from labcontainer.runtime.request import ExecRequest

if TYPE_CHECKING:
    from labcontainer.engine.container import Container
    from labcontainer.engine.engine import Engine


class ExecResult(NamedTuple):
    """docker-py's result of an exec; `exit_code` is None where nobody waited for it."""

    exit_code: int | None
    output: bytes | tuple[bytes | None, bytes | None] | None


def begin(container: Container, engine: Engine, command: Command, **settings: Any) -> Connection:
    """Have it run, and tell of it. Raises: UsageError, SpecError, InitError, HostError."""
    asked = request(container, engine, command, **settings)
    container.tell(f"exec_create: {' '.join(asked.process['args'])}", execID=asked.id)
    container.tell(f"exec_start: {' '.join(asked.process['args'])}", execID=asked.id)
    return engine.zygote.execute(asked)


def request(
    container: Container,
    engine: Engine,
    command: Command,
    *,
    environment: dict[str, str | None] | list[str] | None = None,
    workdir: str | None = None,
    user: str | None = None,
    privileged: bool = False,
    tty: bool = False,
    stdin: bool = False,
) -> ExecRequest:
    """What the zygote is asked. Raises: UsageError, SpecError."""
    words = options.words(command)
    if not words:
        raise UsageError("command", "", "name the command to run")
    options.working_dir(workdir)
    asked = record.read_request(container.directory)
    base = Bundle(container.directory).read().process
    assert base is not None
    who = base.user if user is None else _user(user, container, asked.lowerdirs)
    config = replace(
        base,
        cwd=workdir or base.cwd,
        user=who,
        args=words,
        env=(*base.env, *(("TERM=xterm",) if tty else ()), *options.environment(environment)),
        terminal=tty,
        capabilities=_capabilities(base, who, privileged=privileged),
        no_new_privileges=base.no_new_privileges and not privileged,
    )
    return ExecRequest(
        id=os.urandom(32).hex(),
        directory=str(container.directory),
        process=dict(fields.write(config)),
        cache=asked.cache,
        interactive=stdin,
        trace=engine.trace_path(),
    )


def finish(connection: Connection, *, detach: bool, demux: bool) -> ExecResult:
    """Wait for an exec's end, unless `detach`, and gather what it wrote."""
    if detach:
        return ExecResult(None, None)
    output: dict[int, list[bytes]] = {1: [], 2: []}
    together: list[bytes] = []

    def keep(stream: int, data: bytes) -> None:
        output[stream].append(data)
        together.append(data)

    ended = connection.pump(keep)
    if demux:
        return ExecResult(ended.code, (b"".join(output[1]) or None, b"".join(output[2]) or None))
    return ExecResult(ended.code, b"".join(together))


def _user(text: str, container: Container, lowerdirs: tuple[str, ...]) -> User:
    from pathlib import Path

    # The container may have added users since: its own upperdir is looked at first.
    return user.resolve(text, [container.directory / "upper", *map(Path, lowerdirs)])


def _capabilities(base: Process, who: User, *, privileged: bool) -> Capabilities | None:
    if base.capabilities is None:
        return None
    names = base.capabilities.bounding
    if privileged:
        every = read().permitted if os.geteuid() == 0 else frozenset(Capability)
        names = tuple(sorted(capability.name for capability in every))
    held = names if who.uid == 0 else ()
    return Capabilities(bounding=names, effective=held, permitted=held, inheritable=(), ambient=())
