"""What ``/proc`` says: the witness that lessons, widgets and tests call.

>>> from labcontainer.kernel import proc
>>> [mount.target for mount in proc.mountinfo("self")][:2]
['/', '/proc']
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from labcontainer.kernel import file


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo. ``options`` are the mount's own, ``super_options`` its file system's."""

    id: int
    parent_id: int
    root: str
    target: str
    options: frozenset[str]
    propagation: str
    filesystemtype: str
    source: str
    super_options: dict[str, str]


@dataclass(frozen=True, slots=True)
class IdRange:
    """`length` ids from `inside` on are, outside of the user namespace, those from `outside` on."""

    inside: int
    outside: int
    length: int


@dataclass(frozen=True, slots=True)
class Counters:
    """What an interface has received and sent."""

    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


def mountinfo(pid: int | str = "self", filesystemtype: str = "") -> tuple[Mount, ...]:
    """The mounts of `pid`'s mount namespace, in the order in which they were made.

    Only those whose file system's type begins with `filesystemtype` are taken apart: a machine may have thousands.

    Raises: KernelError where the process is gone. See: man 5 proc (/proc/pid/mountinfo)
    """
    lines = file.read(f"/proc/{pid}/mountinfo").splitlines()
    return tuple(_mount(line) for line in lines if f" - {filesystemtype}" in line)


def status(pid: int | str = "self") -> dict[str, str]:
    """``/proc/PID/status`` as a mapping: ``{"Name": "sh", "State": "S (sleeping)", …}``.

    Raises: KernelError where the process is gone. See: man 5 proc (/proc/pid/status)
    """
    lines = (line.partition(":") for line in file.read(f"/proc/{pid}/status").splitlines())
    return {key: value.strip() for key, _, value in lines}


def start_time(pid: int) -> int | None:
    """When `pid` began, in clock ticks since boot; None if there is no such process, or only its zombie.

    A pid and its start time together name one process for as long as the machine is up.

    See: man 5 proc (/proc/pid/stat, field 22)
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            line = stat.read()
    except OSError:
        return None
    # The name, field 2, may hold spaces and parentheses: count from the last ')'.
    fields = line[line.rindex(b")") + 2 :].split()
    return None if fields[0] in b"ZX" else int(fields[19])


def own_descriptors() -> int:
    """A descriptor (O_PATH) of this process's own ``/proc/self/fd``.

    By it a file that is held open is opened again in another way, or changed, whatever its name has become meanwhile:
    ``os.open(str(fd), flags, dir_fd=own_descriptors())``. It means the host's /proc, in whichever root we are later.

    See: man 5 proc (/proc/pid/fd), man 7 symlink (magic links)
    """
    return os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def children(pid: int) -> tuple[int, ...]:
    """The pids whose parent is `pid`, of all its threads.

    See: man 5 proc (/proc/pid/task/tid/children)
    """
    found: list[int] = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        found += map(int, file.read(f"/proc/{pid}/task/{tid}/children").split())
    return tuple(sorted(found))


def id_map(pid: int | str = "self", kind: str = "uid") -> tuple[IdRange, ...]:
    """The ``uid`` or ``gid`` map of `pid`'s user namespace.

    Raises: KernelError. See: man 7 user_namespaces
    """
    rows = (line.split() for line in file.read(f"/proc/{pid}/{kind}_map").splitlines())
    return tuple(IdRange(*map(int, row)) for row in rows)


def memory_pss_bytes(pid: int) -> int:
    """The memory that is `pid`'s own, plus its share of what it shares with other processes.

    Units: bytes. See: man 5 proc (/proc/pid/smaps_rollup)
    """
    match = re.search(r"^Pss:\s+(\d+) kB", file.read(f"/proc/{pid}/smaps_rollup"), re.MULTILINE)
    return int(match[1]) * 1024 if match else 0


def machine_cpu_ns() -> int:
    """The time that all CPUs of the machine have spent, idle or not, since it was started.

    Units: nanoseconds, in steps of a clock tick. See: man 5 proc (/proc/stat)
    """
    first = file.read("/proc/stat").partition("\n")[0].split()
    # user, nice, system, idle, iowait, irq, softirq; what comes after is in these already, or stolen.
    return sum(map(int, first[1:8])) * (10**9 // os.sysconf("SC_CLK_TCK"))


def interfaces(pid: int | str = "self") -> dict[str, Counters]:
    """What went through each interface of `pid`'s network namespace.

    Raises: KernelError where the process is gone. See: man 5 proc (/proc/pid/net/dev)
    """
    found = {}
    for line in file.read(f"/proc/{pid}/net/dev").splitlines()[2:]:
        name, _, numbers = line.partition(":")
        words = [int(word) for word in numbers.split()]
        found[name.strip()] = Counters(*words[:4], *words[8:12])
    return found


def _mount(line: str) -> Mount:
    # 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    left, _, right = line.partition(" - ")
    id, parent_id, _, root, target, options, *optional = left.split(" ")
    filesystemtype, source, super_options = [*right.split(" "), "", ""][:3]
    pairs = (option.partition("=") for option in super_options.split(","))
    return Mount(
        id=int(id),
        parent_id=int(parent_id),
        root=_unescape(root),
        target=_unescape(target),
        options=frozenset(options.split(",")),
        propagation=" ".join(optional) or "private",
        filesystemtype=filesystemtype,
        source=_unescape(source),
        super_options={key: _unescape(value) for key, _, value in pairs},
    )


def _unescape(text: str) -> str:
    if "\\" not in text:  # as good as always, and several times quicker
        return text
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
