"""Signals by name or number, and the one process they are for."""

from __future__ import annotations

import os
import select
import signal as signals
import time

from labcontainer.errors import KernelError, UsageError
from labcontainer.kernel import process
from labcontainer.runtime.state import ProcessId


def number(signal: int | str) -> int:
    """``9``, ``"KILL"``, ``"SIGKILL"`` or ``"RTMIN+3"`` as a number. Raises: UsageError."""
    text = str(int(signal)) if isinstance(signal, int) else signal.upper()
    if text.isdigit() and 1 <= int(text) <= signals.SIGRTMAX:
        return int(text)
    name = text.removeprefix("SIG")
    for base, sign in (("RTMIN", 1), ("RTMAX", -1)):
        rest = name.removeprefix(base)
        if rest != name and rest[1:].isdigit() and rest[0] == ("+" if sign == 1 else "-"):
            return getattr(signals, f"SIG{base}") + sign * int(rest[1:])  # type: ignore[no-any-return]
    try:
        return signals.Signals[f"SIG{name}"].value
    except KeyError:
        raise UsageError("signal", signal, "there is none of that name; see kill -l") from None


def send(one: ProcessId, signal: int) -> bool:
    """Send `signal` to exactly that process; False where it has ended."""
    try:
        pidfd = process.pidfd_open(one.pid)
    except KernelError:
        return False
    try:
        if not one.alive():  # asked after the pidfd was opened: it cannot be somebody else's number any more
            return False
        process.pidfd_send_signal(pidfd, signal)
        return True
    except KernelError:
        return False
    finally:
        os.close(pidfd)


def ends(one: ProcessId, deadline: float | None) -> bool:
    """Wait until that process has ended; False where it still runs at `deadline` (monotonic seconds)."""
    try:
        pidfd = process.pidfd_open(one.pid)
    except KernelError:
        return True
    try:
        if not one.alive():
            return True
        left = None if deadline is None else max(0, deadline - time.monotonic()) * 1000
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(left))
    finally:
        os.close(pidfd)
