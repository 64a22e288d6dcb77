"""A trace as data: a lane for each process, a place in time for each call, and the line of source behind it.

>>> shown = view(events)
>>> shown.lanes[0].label, shown.calls[3].signature
('zygote', 'mount(source="overlay", target=…)')
"""

from __future__ import annotations

import errno as errno_numbers
import linecache
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labcontainer.errors import NotFound
from labcontainer.kernel.notation import signature
from labcontainer.kernel.trace import Event
from labcontainer.widgets import page, timeaxis

_FAMILIES = {
    "process": ("clone3", "fork", "execve", "pidfd_open", "pidfd_send_signal", "waitid", "kill", "exit",
                "setsid"),
    "namespace": ("unshare", "setns", "sethostname", "setdomainname"),
    "mount": ("mount", "umount2", "pivot_root", "open_tree", "move_mount", "mount_setattr", "fsopen", "fsconfig",
              "fsmount", "chroot"),
    "privilege": ("capset", "capget", "prctl", "seccomp", "setuid", "setgid", "setresuid", "setresgid", "setgroups"),
    "network": ("netlink", "socket", "bind", "connect", "ioctl"),
}  # fmt: skip
_AROUND = 4


@dataclass(frozen=True, slots=True)
class Call:
    """One event, placed: `lane` is an index into the lanes, times count from the first event.

    A call that did not return (an execve that succeeded) has no duration: `duration_usec` is 0 then.
    ``left`` and ``width`` are parts of the whole width, 0 to 1, on a scale of time whose long pauses are cut short.
    """

    index: int
    lane: int
    call: str
    family: str
    signature: str
    arguments: tuple[tuple[str, str], ...]
    result: str
    failed: bool
    returned: bool
    start_usec: float
    duration_usec: float
    left: float
    width: float
    pid: int
    role: str
    step: str
    why: str
    where: str
    function: str


@dataclass(frozen=True, slots=True)
class Pause:
    """A stretch of time in which nobody made a call, drawn shorter than it was. ``left`` and ``width`` as in `Call`."""

    left: float
    width: float
    duration_usec: float


@dataclass(frozen=True, slots=True)
class Lane:
    """One process: its role, its pid, and how many calls it made."""

    label: str
    role: str
    pid: int
    calls: int


@dataclass(frozen=True, slots=True)
class View:
    """All calls in the order in which they began."""

    lanes: tuple[Lane, ...]
    calls: tuple[Call, ...]
    pauses: tuple[Pause, ...]
    duration_usec: float
    summary: str


@dataclass(frozen=True, slots=True)
class Source:
    """Lines of a file around the one that made a call, read when asked; `error` where it cannot be read."""

    path: str
    line: int
    first: int
    lines: tuple[str, ...]
    error: str


def view(events: Sequence[Event]) -> View:
    """Lanes in the order in which their processes first appear; times from the first call on."""
    ordered = sorted(events, key=lambda event: event.start_ns)
    processes = list(dict.fromkeys((event.role, event.pid) for event in ordered))
    counts = Counter((event.role, event.pid) for event in ordered)
    begin_ns = ordered[0].start_ns if ordered else 0
    axis = timeaxis.Axis.of([(event.start_ns - begin_ns, event.duration_ns) for event in ordered])
    calls = tuple(
        _call(index, event, processes.index((event.role, event.pid)), event.start_ns - begin_ns, axis)
        for index, event in enumerate(ordered)
    )
    pauses = tuple(Pause(axis.place(at), axis.span(at, length), length / 1000) for at, length in axis.pauses)
    end_usec = max((call.start_usec + call.duration_usec for call in calls), default=0.0)
    lanes = tuple(Lane(str(role), str(role), pid, counts[role, pid]) for role, pid in processes)
    return View(lanes, calls, pauses, end_usec, _summary(calls, lanes, end_usec))


def find(shown: View, index: int) -> Call:
    """The call number `index`, counted from 0.

    Raises: NotFound.
    """
    if not 0 <= index < len(shown.calls):
        raise NotFound("call", str(index), f"the trace has the calls 0 to {len(shown.calls) - 1}")
    return shown.calls[index]


def source(event: Event) -> Source:
    """The live source around the line that made `event`'s call: a file's, or a notebook cell's."""
    try:
        lines = Path(event.file).read_text(errors="replace").splitlines()
    except OSError:
        lines = [line.rstrip("\n") for line in linecache.getlines(event.file)]  # cells of this very notebook
    if not lines:
        return Source(_short(event.file), event.line, 0, (), "The source is not on this machine any more.")
    first = max(event.line - _AROUND, 1)
    return Source(_short(event.file), event.line, first, tuple(lines[first - 1 : event.line + _AROUND]), "")


def text(shown: View) -> str:
    """The widget as one line that is the same on every machine."""
    return f"TraceView: system calls of {', '.join(dict.fromkeys(lane.role for lane in shown.lanes)) or 'nobody'}"


def html(shown: View) -> str:
    """The trace as a table, one call a row."""
    rows = [
        (f"{call.start_usec / 1000:.2f} ms", f"{call.role} {call.pid}", f"{call.signature} = {call.result}",
         duration(call.duration_usec) if call.returned else "–", call.why, call.where)
        for call in shown.calls
    ]  # fmt: skip
    return page.figure(shown.summary, page.table(("begins", "process", "call", "takes", "why", "source"), rows))


def duration(usec: float) -> str:
    """A duration in the unit in which a person reads it."""
    if usec >= 1_000_000:
        return f"{usec / 1_000_000:.2f} s"
    return f"{usec / 1000:.2f} ms" if usec >= 1000 else f"{usec:.0f} µs"


def _call(index: int, event: Event, lane: int, at_ns: int, axis: timeaxis.Axis) -> Call:
    return Call(
        index=index,
        lane=lane,
        call=event.call,
        family=_family(event.call),
        signature=signature(event.call, event.arguments),
        arguments=event.arguments,
        result=_result(event),
        failed=event.errno is not None,
        returned=_returned(event),
        start_usec=at_ns / 1000,
        duration_usec=event.duration_ns / 1000,
        left=axis.place(at_ns),
        width=axis.span(at_ns, event.duration_ns),
        pid=event.pid,
        role=str(event.role),
        step=event.step,
        why=event.why,
        where=f"{_short(event.file)}:{event.line}",
        function=event.function,
    )


def _family(call: str) -> str:
    return next((family for family, calls in _FAMILIES.items() if call in calls), "file")


def _returned(event: Event) -> bool:
    # An execve is told before it is tried, without a result; one that fails is told again, with its errno.
    return event.call != "execve" or event.errno is not None


def _result(event: Event) -> str:
    if not _returned(event):
        return "none: where it succeeds, the new program runs in place of this one"
    if event.errno is None:
        return str(event.result)
    number = getattr(errno_numbers, event.errno, None)
    return f"-1 {event.errno} ({os.strerror(number)})" if isinstance(number, int) else f"-1 {event.errno}"


def _short(path: str) -> str:
    # From the package on, which is where a reader of this source would look; anything else by its name.
    if "ipykernel" in path:
        return "this notebook"
    _, package, tail = path.rpartition("/labcontainer/")
    return f"labcontainer/{tail}" if package else Path(path).name


def _summary(calls: Sequence[Call], lanes: Sequence[Lane], end_usec: float) -> str:
    if not calls:
        return "No calls were recorded"
    failed = sum(call.failed for call in calls)
    processes = f"{len(lanes)} process{'es' if len(lanes) > 1 else ''}"
    text = f"{len(calls)} call{'s' if len(calls) > 1 else ''} by {processes} in {duration(end_usec)}"
    return f"{text}, {failed} of them failed" if failed else text
