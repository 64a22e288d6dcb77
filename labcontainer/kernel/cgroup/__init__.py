"""Control groups: how much a process may use. One interface over version 1, version 2, and hosts that have both.

    >>> from labcontainer.kernel import cgroup
    >>> group = cgroup.create("example")
    >>> group.set(cgroup.Limits(memory_bytes=64 << 20, pids_max=50))
    >>> group.add(pid); group.usage().memory_bytes; group.kill(); group.remove()

On a hybrid host the limits are version 1's (that is where the controllers are), and killing and freezing are
version 2's. Lessons 08 and 09 teach it.

    host.py           which hierarchies there are, read from /proc     limits.py    limits as data
    delegation.py     where this user may make cgroups                 check.py     limits that make no sense
    naming.py         names, paths, and systemd's form of them         convert.py   one version's numbers as the other's
    group.py          one cgroup: the interface                        usage.py     usage, events and pressure
    v1.py, v2.py      the limits, written in either version's files    block_io.py  limits and counters of disks
    v?_reading.py     and what those files say                         order.py     limits that must fit each other
    hybrid.py         both versions at once                            cpuset.py    version 1's cpusets begin empty
    subtree.py        version 2's controllers, level by level          devices.py   version 2's device program
    tree.py           directories, nested ones too             files.py      which file tells what
"""

from labcontainer.kernel.cgroup.check import Machine, check, machine, refuse_gone
from labcontainer.kernel.cgroup.group import Cgroup, at, create, open, stands_still  # noqa: A004  one says cgroup.open
from labcontainer.kernel.cgroup.host import Host, host
from labcontainer.kernel.cgroup.limits import DeviceRule, HugepageLimit, IoLimit, IoWeight, Limits, RdmaLimit
from labcontainer.kernel.cgroup.usage import DeviceIo, Events, Pressure, Usage

__all__ = [
    "Cgroup",
    "DeviceIo",
    "DeviceRule",
    "Events",
    "Host",
    "HugepageLimit",
    "IoLimit",
    "IoWeight",
    "Limits",
    "Machine",
    "Pressure",
    "RdmaLimit",
    "Usage",
    "at",
    "check",
    "create",
    "host",
    "machine",
    "open",
    "refuse_gone",
    "stands_still",
]
