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
    pairs with flags decoded. ``errno`` is a name such as ``EPERM``, or None when the call succeeded.
    ``file``, ``line`` and ``function`` are the caller's, the line one would read to see why.
    """

    start_ns: int
    duration_ns: int
    pid: int
    role: str
    call: str
    arguments: tuple[tuple[str, str], ...]
    result: int
    errno: str | None
    file: str
    line: int
    function: str
    step: str
    why: str

    def __str__(self) -> str:
        result = f"-1 {self.errno}" if self.errno else str(self.result)
        return f"{signature(self.call, self.arguments)} = {result}"

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
    _attach(lambda event: _write_all(fd, event.to_json().encode() + b"\n"))


def become(role: Role) -> None:
    """After a fork: from here on, events come from `role` and this process's pid."""
    global _role, _pid
    _role = role
    # Inside a PID namespace getpid() is 1, but /proc is still the host's until the root changes, and
    # /proc/self names us by the host's number. Only a recording process pays for the look.
    _pid = int(os.readlink("/proc/self")) if _sinks else None


def stop() -> None:
    """Forget every sink: a child that must not record calls this after its fork."""
    global _sinks
    _sinks = ()


@contextlib.contextmanager
def step(name: str, why: str = "") -> Iterator[None]:
    """Calls made inside belong to the step `name`; `why` is the one sentence shown beside them."""
    token = _step.set((name, why))
    try:
        yield
    finally:
        _step.reset(token)


def merge(*sources: Iterable[Event]) -> tuple[Event, ...]:
    """All events in the order in which they began, whichever process made them."""
    return tuple(sorted((event for source in sources for event in source), key=lambda event: event.start_ns))


def read(lines: Iterable[bytes]) -> tuple[Event, ...]:
    """The events of a file that `to_file` wrote; a last line cut short by a killed process is left out."""
    return tuple(Event.from_json(line) for line in lines if line.endswith(b"\n"))


def clock() -> int:
    """Nanoseconds of CLOCK_MONOTONIC when somebody records, else 0."""
    return time.monotonic_ns() if _sinks else 0


def emit(call: str, arguments: Mapping[str, object], result: int, errno: int, started_ns: int, depth: int = 2) -> None:
    """Hand one finished call to every sink.

    `depth` counts frames from here to the wrapper that stands for the system call (`mount.mount`); its caller is
    the line of source that is shown.
    """
    if not _sinks:
        return
    ended_ns = time.monotonic_ns()
    wrapper = sys._getframe(depth)
    caller = wrapper.f_back or wrapper
    name, why = _step.get()
    event = Event(
        start_ns=started_ns or ended_ns,
        duration_ns=ended_ns - (started_ns or ended_ns),
        pid=_pid or os.getpid(),
        role=_role,
        call=call,
        arguments=tuple((key, show(value)) for key, value in arguments.items()),
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


def show(value: object) -> str:
    """A value as one would write it in C: flags by name, NULL, strings in quotes cut at 256 characters."""
    if value is None:
        return "NULL"
    if isinstance(value, enum.IntFlag):
        return flag_names(value)
    if isinstance(value, enum.IntEnum):
        return value.name
    if isinstance(value, int):
        return str(int(value))
    if not isinstance(value, str | bytes | os.PathLike):
        return f"<{type(value).__name__}>" if hasattr(value, "_length_") else json.dumps(str(value))
    if isinstance(value, bytes):
        value = value.decode(errors="backslashreplace")
    text = str(value)
    return json.dumps(text if len(text) <= 256 else text[:256] + "…", ensure_ascii=False)


def flag_names(flags: enum.IntFlag) -> str:
    """``MS_BIND|MS_REC``: the C names of the set bits, what has no name in hexadecimal."""
    names, rest = [], int(flags)
    for member in type(flags):
        if member and member & rest == member:
            names.append(member.name or hex(member))
            rest &= ~member
    if rest:
        names.append(hex(rest))
    return "|".join(names) or "0"


def signature(call: str, arguments: Iterable[tuple[str, str]]) -> str:
    """The call as text: ``umount2(target="/mnt", flags=MNT_DETACH)``."""
    return f"{call}({', '.join(f'{name}={text}' for name, text in arguments)})"


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
