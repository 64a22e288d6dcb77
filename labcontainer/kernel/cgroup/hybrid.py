"""Both versions side by side: a controller is version 1's where it is mounted so, and version 2's everywhere else.

A controller serves one hierarchy. Most hybrid hosts leave version 2 none of those that containers need, but it has the
rest (hugetlb), measures CPU time by itself, and knows limits that have no version 1 (``cgroup.max.descendants``).
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

from labcontainer.kernel.cgroup import v1, v2
from labcontainer.kernel.cgroup.limits import Limits
from labcontainer.kernel.cgroup.usage import Events, Usage

T = TypeVar("T", Limits, Usage, Events)


class Controllers:
    """One cgroup's files in both versions; the interface is theirs."""

    def __init__(self, first: v1.Controllers, second: v2.Controllers) -> None:
        self._first = first
        self._second = second

    @property
    def directories(self) -> tuple[Path, ...]:
        """The directories beside version 2's. See: man 7 cgroups"""
        return self._first.directories

    def make(self) -> None:
        """Make those of version 1; version 2 gives its controllers when one is asked for.

        Raises: KernelError. See: man 7 cgroups
        """
        self._first.make()

    def find(self) -> None:
        """Take up what was made before. See: man 7 cgroups"""
        self._first.find()

    def set(self, limits: Limits) -> None:
        """Write the limits, each where its controller is. Raises: KernelError, HostError. See: man 7 cgroups"""
        theirs, rest = limits.split(self._first.controllers)
        self._first.set(theirs)
        self._second.set(rest)

    def limits(self) -> Limits:
        """The limits as the Linux kernel has them. See: man 7 cgroups"""
        return _joined(self._first.limits(), self._second.limits())

    def usage(self) -> Usage:
        """What is used. See: man 7 cgroups"""
        return _joined(self._first.usage(), self._second.usage())

    def events(self) -> Events:
        """How often limits were met. See: man 7 cgroups"""
        return _joined(self._first.events(), self._second.events())

    def freeze(self, wanted: bool) -> None:
        """Begin to stop every process, or let them go on: version 2's. See: man 7 cgroups (freezer)"""
        self._second.freeze(wanted)

    def frozen(self) -> bool:
        """Whether every process is stopped. See: man 7 cgroups (freezer)"""
        return self._second.frozen()

    def freezer(self) -> Path | None:
        """The file that tells so. See: man 7 cgroups (freezer)"""
        return self._second.freezer()


def _joined(first: T, second: T) -> T:
    # What a version knows nothing of is None, 0 or empty there.
    missing = [field.name for field in fields(first) if not getattr(first, field.name)]
    known = {name: getattr(second, name) for name in missing if getattr(second, name) is not None}
    return replace(first, **known)
