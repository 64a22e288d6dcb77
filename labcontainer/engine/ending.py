"""Ending a container so that it stays ended, whoever is killed meanwhile.

    client                   monitor                    init
      │ halt ──────────────►   no policy starts it again as long as we are on the line
      │ ◄─ halting ─────────                              │
      │ SIGTERM ─────────────────────────────────────────►│   SIGKILL after a while
      │ ◄─ hangs up ────────   has cleared away           ┘

Where its monitor has been killed another one adopts it first. A client that is killed half way has hung up: then the
policy is what it was before.
"""

from __future__ import annotations

import contextlib
import signal as signals
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from labcontainer.engine import signals as signal_names
from labcontainer.errors import LabError, NotFound
from labcontainer.kernel import cgroup
from labcontainer.runtime import client, state
from labcontainer.runtime.client import Connection
from labcontainer.runtime.life import Status
from labcontainer.runtime.state import State

if TYPE_CHECKING:
    from labcontainer.engine.container import Container

_PATIENCE_S = 10.0  # a monitor that is making a container does not listen for some milliseconds
_LATENESS_S = 0.01


def end(container: Container, signal: int | str, timeout_s: float | None, *, keep: bool = False) -> None:
    """Send `signal`, after `timeout_s` seconds SIGKILL, and wait until it has ended and its monitor has cleared up.

    With `keep` its files stay, also with ``--rm``. Raises: UsageError (no such signal).
    """
    number = signal_names.number(signal)
    with contextlib.suppress(NotFound):
        while True:
            with _halted(container, keep=keep) as attended:
                _see_end(container, number, timeout_s, attended=attended)
            container._engine.mend(container.directory)
            now = container.state
            if now.status is Status.STOPPED or now.monitor is None:
                return


def halt(container: Container) -> None:
    """Have its monitor know that the end which comes is wanted: no policy may start it again."""
    with contextlib.suppress(NotFound):
        connection = _ask(container, lasting=True)
        if connection is not None:
            connection.close()


def send(container: Container, now: State, signal: int) -> None:
    """Send `signal` to the init of `now`, if it lives."""
    if now.init is not None and now.init.alive():
        # Written down first: the end that it brings is an event, too, and comes after it.
        container.tell("kill", signal=str(signal))
        signal_names.send(now.init, signal)


@contextlib.contextmanager
def _halted(container: Container, *, keep: bool) -> Iterator[bool]:
    """Inside no policy starts it again; yields whether a monitor has agreed to that."""
    connection = _ask(container, keep=keep)
    try:
        yield connection is not None
    finally:
        if connection is not None:
            connection.close()


def _ask(container: Container, **wish: bool) -> Connection | None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        with contextlib.suppress(OSError, LabError):
            return _asked(container, wish)
        written = state.load(container.directory)
        if written.observed().status is Status.STOPPED:
            # Nobody is there to be told: it stands where the next monitor, and who mends, will read it.
            if state.exchange(container.directory, written, replace(written, halted=True)):
                return None
        elif written.unattended:
            container._engine.mend(container.directory)
        if time.monotonic() > deadline:
            return None
        time.sleep(_LATENESS_S)


def _asked(container: Container, wish: dict[str, bool]) -> Connection:
    connection = client.attach(container.directory)
    try:
        connection.ask("halt", "halting", **wish)
    except BaseException:
        connection.close()
        raise
    return connection


def _see_end(container: Container, signal: int, timeout_s: float | None, *, attended: bool) -> None:
    now = container.state
    if now.init is not None:
        send(container, now, signal)
        if now.status is Status.PAUSED and now.cgroup:
            with contextlib.suppress(LabError):  # version 1 lets the frozen die only once they are thawed
                cgroup.open(now.cgroup).thaw()
    # A monitor ends after it has cleared up; one that has not agreed may go on with the next run.
    those = [one for one in (now.init, now.monitor if attended else None) if one is not None]
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    if not all(signal_names.ends(one, deadline) for one in those):
        send(container, now, signals.SIGKILL)
        for one in those:
            signal_names.ends(one, None)
