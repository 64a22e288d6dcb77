"""Version 2 gives a cgroup's children a controller only where its parent says so, level by level.

/sys/fs/cgroup                  cgroup.subtree_control: cpu memory pids     so labcontainer has cpu.max
/sys/fs/cgroup/labcontainer     cgroup.subtree_control: cpu memory pids     so a container has cpu.max
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from labcontainer.errors import KernelError
from labcontainer.kernel import file
from labcontainer.kernel.cgroup import tree
from labcontainer.kernel.cgroup.delegation import ASIDE

WANTED = frozenset({"cpuset", "cpu", "io", "memory", "pids"})
_ROUNDS = 10


def enable(level: Path, top: Path, wanted: frozenset[str] = WANTED) -> None:
    """Give the children of `level` those controllers that `top`, above it or itself, can give; `level` is made.

    Raises: KernelError. See: https://docs.kernel.org/admin-guide/cgroup-v2.html#controlling-controllers
    """
    tree.make(level)
    given = names(level, "cgroup.subtree_control")
    if given >= wanted:
        return
    available = names(level, "cgroup.controllers")
    if level != top and not available >= wanted:
        enable(level.parent, top, wanted)
        available = names(level, "cgroup.controllers")
    missing = (available & wanted) - given
    if missing and os.access(level / "cgroup.subtree_control", os.W_OK):
        _switch_on(level, missing)


def _switch_on(level: Path, missing: frozenset[str]) -> None:
    """A cgroup with processes of its own cannot give controllers away, but for the root.

    We meet this in a session that was delegated to us and in a container, whose "root" is no real one: the processes
    are moved aside into a child. What they fork meanwhile takes another round.
    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#no-internal-process-constraint
    """
    text = " ".join(f"+{name}" for name in sorted(missing))
    for left in reversed(range(_ROUNDS)):
        try:
            file.write(level / "cgroup.subtree_control", text)
            return
        except KernelError as error:
            if error.errno != errno.EBUSY or not left:
                raise
        tree.make(level / ASIDE)
        for pid in file.read(level / "cgroup.procs").split():
            with contextlib.suppress(KernelError):  # it has ended; one that will not move shows in the next round
                file.write(level / ASIDE / "cgroup.procs", pid)


def names(level: Path, name: str) -> frozenset[str]:
    """The controllers that the file `name` of the cgroup `level` lists.

    Raises: KernelError. See: https://docs.kernel.org/admin-guide/cgroup-v2.html#core-interface-files
    """
    return frozenset(file.read(level / name).split())
