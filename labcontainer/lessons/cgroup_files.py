"""The files in which a container's limits stand, under the names that this host has for them.

>>> CgroupFiles(box, "memory limit", "memory in use")
CgroupFiles: memory limit, memory in use

In JupyterLab it is a table of what the files say now, with version 1's and version 2's names side by side.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from labcontainer.engine import stats
from labcontainer.errors import HostError, KernelError
from labcontainer.kernel import cgroup, file
from labcontainer.kernel.cgroup import files
from labcontainer.widgets import page

if TYPE_CHECKING:
    from labcontainer.engine import Container

_NOT_HERE = "(not on this host)"
_RACE_ENDS_S = 60
_WORKS_USEC = 150_000  # the start of a Python costs less
# Of files with many lines, those that a lesson speaks of; memory.stat alone has more than fifty.
_FEW = 6
_TELLING = (
    "anon", "file", "kernel", "shmem", "inactive_file", "rss", "cache",
    "nr_periods", "nr_throttled", "throttled_time", "throttled_usec",
)  # fmt: skip


class CgroupFiles:
    """What the files for `what` (names of `kernel.cgroup.files`) of a running container say, read when it is made."""

    def __init__(self, container: Container, *what: str) -> None:
        """Raises: HostError (it has no cgroup), NotFound (no such file is known)."""
        group = counted(container)
        self.what = what
        self.directories = tuple(map(str, group.directories))
        self._rows = [_row(group, each) for each in what]

    def __repr__(self) -> str:
        return f"CgroupFiles: {', '.join(self.what)}"

    def _repr_html_(self) -> str:
        host = cgroup.host().version
        head = ("", "version 1 calls it", "version 2 calls it", f"this host ({host}) says")
        return page.figure("Files of the cgroup", page.table(head, self._rows))


class Measured:
    """Numbers of this moment and this machine, by what they are of: a table, whose text is the same everywhere."""

    def __init__(self, unit: str, **values: float) -> None:
        self.unit = unit
        self.values = values

    def __repr__(self) -> str:
        return f"Measured: {self.unit} ({', '.join(map(_spaced, self.values))})"

    def _repr_html_(self) -> str:
        rows = [(_spaced(name), f"{value:.2f}") for name, value in self.values.items()]
        return page.figure("Measured just now", page.table(("", self.unit), rows))


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def counted(container: Container) -> cgroup.Cgroup:
    """The cgroup of a running container. Raises: HostError (it has none)."""
    return stats.counted(container.state)


def waited_usec(container: Container, resource: str) -> int:
    """How long at least one of its processes has waited for ``memory``, ``cpu`` or ``io`` so far.

    Raises: HostError (nobody measures it here).
    """
    found = counted(container).pressure(resource)
    if found is None:
        raise HostError(
            "pressure stall information", "add psi=1 to the Linux kernel's command line, with cgroup version 2 mounted"
        )
    return found.some.total_usec


def cpu_usec(container: Container) -> int:
    """The CPU time of all its processes so far. Raises: HostError."""
    return counted(container).usage().cpu_usec or 0


def race(*containers: Container, seconds: float = 1.0) -> list[float]:
    """The CPU time of each in seconds, from when all of them work until together they have had that much.

    Raises: HostError; TimeoutError where one does not work.
    """
    deadline = time.monotonic() + _RACE_ENDS_S
    before = [0] * len(containers)
    while True:
        now = [cpu_usec(each) for each in containers]
        if not all(before):
            before = now if min(now) > _WORKS_USEC else before
        elif sum(now) - sum(before) > seconds * 1e6:
            return [(late - early) / 1e6 for late, early in zip(now, before, strict=True)]
        if time.monotonic() > deadline:
            raise TimeoutError(f"not all of them have worked within {_RACE_ENDS_S} seconds")
        time.sleep(0.05)


def cpus_in_use(container: Container, seconds: float = 1.0) -> float:
    """How many CPUs it keeps busy, measured for so long from now on. Raises: HostError."""
    before, began = cpu_usec(container), time.monotonic()
    time.sleep(seconds)
    return (cpu_usec(container) - before) / 1e6 / (time.monotonic() - began)


def _row(group: cgroup.Cgroup, what: str) -> tuple[str, str, str, str]:
    path, names = files.find(group, what), files.NAMES[what]
    try:
        says = _NOT_HERE if path is None else f"{path.name}: {_short(file.read(path))}"
    except KernelError as error:
        says = str(error)
    return what, names.v1 or "–", names.v2, says


def _short(text: str) -> str:
    lines = text.splitlines()
    if len(lines) > _FEW:
        lines = [line for line in lines if line.split()[0] in _TELLING] or lines[:_FEW]
    return " · ".join(lines) or "(empty)"
