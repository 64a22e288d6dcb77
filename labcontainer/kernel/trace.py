"""The glass box: every call that goes through ``labcontainer.kernel``, as it happens.

    >>> from labcontainer.kernel import mount, trace
    >>> with trace.recording() as events:
    ...     with trace.step("look", why="an empty file system in memory shows what mount does"):
    ...         mount.mount("none", "/mnt", "tmpfs")
    >>> print(events[0])
    mount(source="none", target="/mnt", filesystemtype="tmpfs", flags=0, data=NULL) = 0

One process records into a list (``recording``). The processes that it starts each append JSON lines to one
file (``to_file``), and ``merge`` puts everything in the order of CLOCK_MONOTONIC, which all of them share.

Off, an event costs one test of an empty tuple. The recorder is this package's only state that belongs to the whole
process: a system call has no argument through which a recorder could be handed down.
"""

from __future__ import annotations

import contextlib
import enum
import errno as errno_names
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any

from labcontainer.kernel.notation import shown, signature


class Role(enum.StrEnum):
    """Which of the processes that make a container has made a call."""

    ENGINE = "engine"
    ZYGOTE = "zygote"
    MONITOR = "monitor"
    INIT = "init"
    CHILD = "child"


@dataclass(frozen=True, slots=True)
class Event:
    """One call: who made it, with what, what came back, and why it was made.

    Units: ``start_ns`` is CLOCK_MONOTONIC, ``duration_ns`` nanoseconds. ``arguments`` are (name, text)
    pairs with flags decoded. ``result`` is None where the call never returned: an execve that succeeds is the end of
    the program that made it. ``errno`` is a name such as ``EPERM``, or None when the call succeeded.
    ``file``, ``line`` and ``function`` are the caller's, the line one would read to see why.
    """

    start_ns: int
    duration_ns: int
    pid: int
    role: str
    call: str
    arguments: tuple[tuple[str, str], ...]
    result: int | None
    errno: str | None
    file: str
    line: int
    function: str
    step: str
    why: str

    def __str__(self) -> str:
        result = "?" if self.result is None else str(self.result)
        return f"{signature(self.call, self.arguments)} = {result}{f' {self.errno}' if self.errno else ''}"

    def to_json(self) -> str:
        """One line of JSON, the form in which child processes hand events over."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str | bytes) -> Event:
        """The inverse of `to_json`."""
        fields: dict[str, Any] = json.loads(line)
        fields["arguments"] = tuple((name, text) for name, text in fields["arguments"])
        return cls(**fields)


Sink = Callable[[Event], None]

_sinks: tuple[Sink, ...] = ()
_role: Role = Role.ENGINE
_pid: int | None = None
_self: int | None = None  # a descriptor of the host's /proc/self, the link itself: it leads nowhere else
_step: ContextVar[tuple[str, str]] = ContextVar("step", default=("", ""))


def active() -> bool:
    """Whether anybody is recording in this process."""
    return bool(_sinks)


@contextlib.contextmanager
def recording() -> Iterator[list[Event]]:
    """Record this process's calls into the list that is yielded, in order of their end."""
    events: list[Event] = []
    _attach(events.append)
    try:
        yield events
    finally:
        _detach(events.append)


def to_file(fd: int) -> None:
    """Append this process's events to `fd` as JSON lines, until the process ends.

    `fd` must be opened with O_APPEND: the Linux kernel then keeps the lines of several processes apart. A
    child made by fork goes on writing, and says who it is with `become`.
    """
    global _self
    # Kept for the children: once they have changed their root, /proc/self would name them by another number.
    with contextlib.suppress(OSError):
        _self = os.open("/proc/self", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    _attach(lambda event: _write_all(fd, event.to_json().encode() + b"\n"))


def become(role: Role) -> None:
    """After a fork: events come from `role` from here on."""
    global _role
    _role = role
    forked()


def forked() -> None:
    """In a new child: events now come from this process's pid, and belong to no step of its parent."""
    global _pid
    _step.set(("", ""))
    # Inside a PID namespace getpid() is 1; the host's /proc/self is a link to the host's number for us.
    _pid = int(os.readlink("", dir_fd=_self)) if _sinks and _self is not None else None


def stop() -> None:
    """Forget every sink: a child that must not record calls this after its fork."""
    global _sinks, _self
    _sinks = ()
    if _self is not None:
        os.close(_self)
        _self = None


@contextlib.contextmanager
def step(name: str, why: str = "") -> Iterator[None]:
    """Calls made inside belong to the step `name`; `why` is the one sentence shown beside them."""
    token = _step.set((name, why))
    try:
        yield
    finally:
        _step.reset(token)


def merge(*sources: Iterable[Event]) -> tuple[Event, ...]:
    """All events in the order in which they began, whichever process made them.

    What may never return is recorded before it is tried (`emit`), and again with its errno when it has failed: of the
    two only the latter stays.
    """
    events = [event for source in sources for event in source]
    returned = {(event.pid, event.start_ns) for event in events if event.result is not None}
    kept = (event for event in events if event.result is not None or (event.pid, event.start_ns) not in returned)
    return tuple(sorted(kept, key=lambda event: event.start_ns))


def read(lines: Iterable[bytes]) -> tuple[Event, ...]:
    """The events of a file that `to_file` wrote; a last line cut short by a killed process is left out."""
    return tuple(Event.from_json(line) for line in lines if line.endswith(b"\n"))


def clock() -> int:
    """Nanoseconds of CLOCK_MONOTONIC when somebody records, else 0."""
    return time.monotonic_ns() if _sinks else 0


def emit(
    call: str, arguments: Mapping[str, object], result: int | None, errno: int, started_ns: int, depth: int = 2
) -> None:
    """Hand one call to every sink: a finished one, or with `result` None one that may never return.

    `depth` counts frames from here to the wrapper that stands for the system call (`mount.mount`); its caller is
    the line of source that is shown.
    """
    if not _sinks:
        return
    ended_ns = time.monotonic_ns() if result is not None else started_ns
    wrapper = sys._getframe(depth)
    caller = wrapper.f_back or wrapper
    name, why = _step.get()
    event = Event(
        start_ns=started_ns or ended_ns,
        duration_ns=ended_ns - (started_ns or ended_ns),
        pid=_pid or os.getpid(),
        role=_role,
        call=call,
        arguments=shown(arguments),
        result=result,
        errno=errno_names.errorcode.get(errno, str(errno)) if errno else None,
        file=caller.f_code.co_filename,
        line=caller.f_lineno,
        function=caller.f_code.co_name,
        step=name,
        why=why or _first_line(wrapper),
    )
    for sink in _sinks:
        sink(event)


def _attach(sink: Sink) -> None:
    global _sinks
    _sinks = (*_sinks, sink)


def _detach(sink: Sink) -> None:
    global _sinks
    _sinks = tuple(other for other in _sinks if other != sink)


def _first_line(wrapper: FrameType) -> str:
    function = wrapper.f_globals.get(wrapper.f_code.co_name)
    return (getattr(function, "__doc__", None) or "").partition("\n")[0].rstrip(".")


def _write_all(fd: int, data: bytes) -> None:
    # A trace that cannot be written (disk full) must never stop the container that it watches.
    with contextlib.suppress(OSError):
        os.write(fd, data)
