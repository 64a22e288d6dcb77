"""The keeper of one exec: it starts the process in the container, and stays between it and the client.

Who we are: forked by the zygote for one request, one thread. When the container ends, its PID namespace takes the
process with it, and we end.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
from pathlib import Path

from labcontainer.errors import InitError, LabError
from labcontainer.kernel import process
from labcontainer.oci import fields
from labcontainer.oci.runtime_spec import Process
from labcontainer.runtime import channel, events, join, launch, state, streams
from labcontainer.runtime.channel import Message
from labcontainer.runtime.join import Joined
from labcontainer.runtime.relay import Client, Relay
from labcontainer.runtime.request import ExecRequest


def run(request: ExecRequest, connection: socket.socket) -> None:
    """Serve `request`; every outcome is told to the client: ``started``, then ``exited``, or ``failed``."""
    selector = selectors.EpollSelector()
    relay = Relay(selector, _ignore)
    relay.add(connection)
    try:
        joined = _start(request, relay)
    except (LabError, OSError) as error:
        failure = error if isinstance(error, InitError) else InitError("exec", str(error))
        relay.tell("failed", stage=failure.stage, cause=failure.cause, exit_code=failure.exit_code)
        relay.farewell()
        return
    # The client says "attach" when it wants the output; it must not miss what comes before.
    relay.tell("started", pid=joined.child.pid)
    code = _see_through(joined, relay, selector)
    relay.drain()
    relay.tell("exited", exit_code=code, oom_killed=False)
    _record(request, code)
    relay.farewell()


def _start(request: ExecRequest, relay: Relay) -> Joined:
    config = fields.read(Process, dict(request.process), "process")
    directory = Path(request.directory)
    found, stdio = (None, None) if config.terminal else streams.pipes(interactive=request.interactive)
    try:
        joined = join.join(directory, state.load(directory), config, stdio, cache=Path(request.cache))
    finally:
        for fd in stdio or ():
            os.close(fd)
    message = channel.receive(joined.channel)
    if message is not None:
        process.wait(joined.child)
        raise launch.failure(message)
    joined.channel.close()
    if found is None and joined.terminal is not None:
        found = streams.terminal(joined.terminal)
    if found is not None:
        for client in relay.clients:
            client.attached = True
        relay.attach_streams(found)
    return joined


def _see_through(joined: Joined, relay: Relay, selector: selectors.BaseSelector) -> int:
    ended = False

    def end() -> None:
        nonlocal ended
        ended = True

    selector.register(joined.child.pidfd, selectors.EVENT_READ, end)
    while not ended:
        for key, _ in selector.select():
            key.data()
    selector.unregister(joined.child.pidfd)
    with contextlib.suppress(ChildProcessError):
        return process.wait(joined.child)
    return 255


def _record(request: ExecRequest, code: int) -> None:
    directory = Path(request.directory)
    ended = {**events.attributes(directory), "execID": request.id, "exitCode": str(code)}
    events.record(directory.parent.parent, "exec_die", directory.name, ended)


def _ignore(client: Client, message: Message) -> None:
    """An exec knows no messages but those about its streams."""
