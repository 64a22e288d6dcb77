"""Control groups: how much a process may use. One interface over version 1, version 2, and hosts that have both.

    >>> from labcontainer.kernel import cgroup
    >>> group = cgroup.create("example")
    >>> group.set(cgroup.Limits(memory_bytes=64 << 20, pids_max=50))
    >>> group.add(pid); group.usage().memory_bytes; group.kill(); group.remove()

On a hybrid host the limits are version 1's (that is where the controllers are), and killing and freezing are
version 2's. Lessons 08 and 09 teach it.
"""

from labcontainer.kernel.cgroup.group import Cgroup, create, open  # noqa: A004  one says cgroup.open
from labcontainer.kernel.cgroup.host import Host, host
from labcontainer.kernel.cgroup.limits import DeviceRule, Limits
from labcontainer.kernel.cgroup.usage import Events, Usage

__all__ = ["Cgroup", "DeviceRule", "Events", "Host", "Limits", "Usage", "create", "host", "open"]
