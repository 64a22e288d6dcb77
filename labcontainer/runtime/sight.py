"""What one process sees from where it stands: the answers of the Linux kernel, before anybody interprets them.

    >>> from labcontainer.runtime import sight
    >>> sight.look().hostname
    'laptop'

Two sights, from outside and from inside of some namespaces, are what the isolation matrix of lesson 02 compares.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from dataclasses import asdict, dataclass
from typing import Any

from labcontainer.errors import KernelError
from labcontainer.kernel import file, ipc, namespaces, proc
from labcontainer.kernel.netlink import IFF_UP

_SIOCGIFFLAGS = 0x8913  # linux/sockios.h
_IFREQ = struct.Struct("16sh22x")  # struct ifreq: the interface's name, then its flags


@dataclass(frozen=True, slots=True)
class SeenProcess:
    """A process that has a directory under /proc."""

    pid: int
    name: str


@dataclass(frozen=True, slots=True)
class SeenMount:
    """A line of mountinfo, as far as a student looks at it."""

    target: str
    filesystemtype: str
    source: str


@dataclass(frozen=True, slots=True)
class SeenInterface:
    """A network interface, and whether it is switched on."""

    name: str
    up: bool


@dataclass(frozen=True, slots=True)
class SeenIds:
    """Who a process is: its own ids, and the map of its user namespace as (inside, outside, length)."""

    uid: int
    gid: int
    uid_map: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Sight:
    """What one process sees.

    ``pid`` is its own number as getpid(2) gives it; ``queues`` are the keys of message queues, ``namespaces`` inode
    numbers.
    """

    pid: int
    processes: tuple[SeenProcess, ...]
    mounts: tuple[SeenMount, ...]
    hostname: str
    interfaces: tuple[SeenInterface, ...]
    ids: SeenIds
    queues: tuple[int, ...]
    cgroup: str
    namespaces: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """The sight as plain data, the form in which a child hands it over."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Sight:
        """The inverse of `to_json`."""
        ids = fields["ids"]
        return cls(
            pid=fields["pid"],
            processes=tuple(SeenProcess(**each) for each in fields["processes"]),
            mounts=tuple(SeenMount(**each) for each in fields["mounts"]),
            hostname=fields["hostname"],
            interfaces=tuple(SeenInterface(**each) for each in fields["interfaces"]),
            ids=SeenIds(ids["uid"], ids["gid"], tuple((row[0], row[1], row[2]) for row in ids["uid_map"])),
            queues=tuple(fields["queues"]),
            cgroup=fields["cgroup"],
            namespaces=dict(fields["namespaces"]),
        )


def look() -> Sight:
    """What the calling process sees, now.

    See: man 5 proc, man 7 namespaces, man 7 netdevice, man 7 sysvipc
    """
    return Sight(
        pid=os.getpid(),
        processes=_processes(),
        mounts=tuple(SeenMount(m.target, m.filesystemtype, m.source) for m in proc.mountinfo()),
        hostname=os.uname().nodename,
        interfaces=_interfaces(),
        ids=SeenIds(os.getuid(), os.getgid(), tuple((r.inside, r.outside, r.length) for r in proc.id_map())),
        queues=ipc.message_queues(),
        cgroup=_cgroup(),
        namespaces=namespaces.inodes(),
    )


def _processes() -> tuple[SeenProcess, ...]:
    found = []
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            found.append(SeenProcess(pid, file.read(f"/proc/{pid}/comm")))
        except KernelError:
            continue  # it ended between the listing and the reading
    return tuple(found)


def _interfaces() -> tuple[SeenInterface, ...]:
    # Not from /sys/class/net: a sysfs shows the network namespace in which it was mounted, not its reader's.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        return tuple(SeenInterface(name, _is_up(any_socket, name)) for _, name in socket.if_nameindex())


def _is_up(any_socket: socket.socket, name: str) -> bool:
    answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _IFREQ.pack(name.encode(), 0))
    return bool(_IFREQ.unpack(answer)[1] & IFF_UP)


def _cgroup() -> str:
    # 0::/user.slice is v2; on v1 each hierarchy has its line, and the memory controller's stands for all.
    lines = [line.split(":", 2) for line in file.read("/proc/self/cgroup").splitlines()]
    paths = {controllers: path for _, controllers, path in lines}
    return paths.get("memory") or paths.get("") or "/"
