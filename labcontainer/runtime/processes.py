"""The processes of a container as the host sees them, read from /proc: what ``ps -ef`` shows, and no more of the host.

>>> [each.pid for each in read(pids(init))]
[4711, 4715]
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from labcontainer.errors import KernelError
from labcontainer.kernel import file, namespaces, proc

TICKS_PER_S = os.sysconf("SC_CLK_TCK")

# The majors of terminals in /dev/pts. See https://docs.kernel.org/admin-guide/devices.html
_PTS_MAJORS = range(136, 144)


@dataclass(frozen=True, slots=True)
class Process:
    """One line of ps. ``start_time`` is in clock ticks since boot, ``cpu_ticks`` user and system time together."""

    pid: int
    parent_pid: int
    uid: int
    name: str
    arguments: tuple[str, ...]
    terminal: str
    start_time: int
    cpu_ticks: int


def pids(init: int) -> tuple[int, ...]:
    """The processes in the PID namespace of `init`, and those below them, which may have made one of their own.

    Raises: OSError where init is gone. See: man 7 pid_namespaces
    """
    own = namespaces.inode(init, "pid")
    waiting = [int(name) for name in os.listdir("/proc") if name.isdigit() and _namespace(int(name)) == own]
    found: set[int] = set()
    while waiting:
        pid = waiting.pop()
        if pid in found:
            continue
        found.add(pid)
        try:
            waiting += proc.children(pid)
        except OSError:
            continue  # it has ended meanwhile
    return tuple(sorted(found))


def read(pids: Iterable[int]) -> Iterator[Process]:
    """What /proc says of each process; one that has ended is left out. See: man 5 proc"""
    for pid in pids:
        try:
            line = file.read(f"/proc/{pid}/stat")
            uid = int(proc.status(pid)["Uid"].split()[1])
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (KernelError, OSError, KeyError):
            continue
        name = line[line.index("(") + 1 : line.rindex(")")]
        fields = line[line.rindex(")") + 2 :].split()
        yield Process(
            pid=pid,
            parent_pid=int(fields[1]),
            uid=uid,
            name=name,
            arguments=tuple(os.fsdecode(each) for each in arguments.split(b"\0")[:-1]),
            terminal=_terminal(int(fields[4])),
            start_time=int(fields[19]),
            cpu_ticks=int(fields[11]) + int(fields[12]),
        )


def _namespace(pid: int) -> int:
    try:
        return namespaces.inode(pid, "pid")
    except OSError:
        return 0  # gone, or not ours to look at


def _terminal(number: int) -> str:
    if number == 0:
        return "?"
    major, minor = number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00
    if major in _PTS_MAJORS:
        return f"pts/{minor + (major - _PTS_MAJORS.start) * 256}"
    return f"tty{minor}" if major == 4 and minor < 64 else f"{major}:{minor}"
