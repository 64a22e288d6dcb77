"""Waiting for a container's end: from its monitor, or where that was killed, from the Linux kernel."""

from __future__ import annotations

import select
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from labcontainer.engine import signals
from labcontainer.errors import InitError, LabError, NotFound, UsageError
from labcontainer.runtime import client, state
from labcontainer.runtime.client import Connection
from labcontainer.runtime.life import Status

if TYPE_CHECKING:
    from labcontainer.engine.container import Container

CONDITIONS = ("not-running", "next-exit", "removed")
_LATENESS_S = 0.05


def wait(container: Container, timeout: float | None, condition: str) -> dict[str, int]:
    """See `Container.wait`."""
    if condition not in CONDITIONS:
        raise UsageError("condition", condition, f"choose from {', '.join(CONDITIONS)}")
    deadline = None if timeout is None else time.monotonic() + timeout
    now = container.state
    if condition == "removed":
        code = _next_end(container, deadline) if now.status is not Status.STOPPED else now.exit_code
        _until_gone(container, deadline)
        return {"StatusCode": code or 0}
    if condition == "not-running" and now.status in (Status.STOPPED, Status.CREATED):
        return {"StatusCode": now.exit_code or 0}
    return {"StatusCode": _next_end(container, deadline)}


def _next_end(container: Container, deadline: float | None) -> int:
    while True:
        with suppress(OSError):
            connection = client.attach(container.directory)
            try:
                code = _told(container, connection, deadline)
            finally:
                connection.close()
            if code is not None:
                return code
        try:
            now = container.state
        except NotFound:
            return 0  # removed with --rm before we could ask
        if now.status is Status.STOPPED:
            return now.exit_code or 0
        if now.unattended and now.init is not None:
            if not signals.ends(now.init, deadline):
                raise _late(container)
            container._engine.mend(container.directory)
            continue
        _rest(container, deadline)


def _told(container: Container, connection: Connection, deadline: float | None) -> int | None:
    """The code of its next end, as its monitor tells it; None where that was killed meanwhile."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        if not poll.poll(left):
            raise _late(container)
        try:
            message = connection.receive()
        except InitError as error:
            return error.exit_code
        except LabError:
            return None
        if message.kind == "exited":
            return int(message.body["exit_code"])


def _until_gone(container: Container, deadline: float | None) -> None:
    while True:
        try:
            state.load(container.directory)
        except NotFound:
            return
        _rest(container, deadline)


def _rest(container: Container, deadline: float | None) -> None:
    if deadline is not None and time.monotonic() > deadline:
        raise _late(container)
    time.sleep(_LATENESS_S)


def _late(container: Container) -> TimeoutError:
    return TimeoutError(f"container {container.short_id} has not ended in time")
