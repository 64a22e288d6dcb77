"""The files in which a container's limits stand, under the names that this host has for them.

>>> CgroupFiles(box, "memory limit", "memory in use")
CgroupFiles: memory limit, memory in use

In JupyterLab it is a table of what the files say now, with version 1's and version 2's names side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labcontainer.engine import stats
from labcontainer.errors import HostError, KernelError
from labcontainer.kernel import cgroup, file
from labcontainer.kernel.cgroup import files
from labcontainer.widgets import page

if TYPE_CHECKING:
    from labcontainer.engine import Container

_NOT_HERE = "(not on this host)"
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
        lines = [line for line in lines if line.split()[0] in _TELLING]
    return " · ".join(lines) or "(empty)"
