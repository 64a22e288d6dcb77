"""Version 1: a hierarchy for each controller, each with its own file names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from labcontainer.errors import HostError, KernelError
from labcontainer.kernel import file
from labcontainer.kernel.cgroup.limits import Limits
from labcontainer.kernel.cgroup.usage import Events, Usage, keyed

_NO_LIMIT = 1 << 62


class Controllers:
    """The version 1 controllers of one cgroup: a directory for each."""

    def __init__(self, places: Mapping[str, Path]) -> None:
        self._places = places
        # Controllers that are mounted together (cpu,cpuacct) are one directory.
        self.directories = tuple(dict.fromkeys(places.values()))

    def set(self, limits: Limits) -> None:
        """Write the limits. Raises: KernelError, HostError. See: man 7 cgroups (version 1)"""
        self._set_cpuset(limits)
        if limits.memory_bytes is not None:
            self._write("memory", "memory.limit_in_bytes", limits.memory_bytes)
        if limits.memory_swap_bytes is not None and self._has("memory", "memory.memsw.limit_in_bytes"):
            self._write("memory", "memory.memsw.limit_in_bytes", limits.memory_swap_bytes)
        for value, controller, name in (
            (limits.memory_reservation_bytes, "memory", "memory.soft_limit_in_bytes"),
            (limits.cpu_period_usec, "cpu", "cpu.cfs_period_us"),
            (limits.cpu_quota_usec, "cpu", "cpu.cfs_quota_us"),
            (limits.cpu_shares, "cpu", "cpu.shares"),
            ("max" if limits.pids_max == -1 else limits.pids_max, "pids", "pids.max"),
            (limits.io_weight, "blkio", "blkio.bfq.weight"),
        ):
            if value is not None:
                self._write(controller, name, value)
        if "devices" in self._places:
            for rule in limits.devices:
                self._write("devices", "devices.allow" if rule.allow else "devices.deny", rule.v1())

    def limits(self) -> Limits:
        """The limits as the Linux kernel has them. Raises: KernelError. See: man 7 cgroups (version 1)"""
        memory = self._number("memory", "memory.limit_in_bytes")
        pids = self._read("pids", "pids.max")
        return Limits(
            memory_bytes=-1 if memory is not None and memory > _NO_LIMIT else memory,
            cpu_quota_usec=self._number("cpu", "cpu.cfs_quota_us"),
            cpu_period_usec=self._number("cpu", "cpu.cfs_period_us"),
            cpu_shares=self._number("cpu", "cpu.shares"),
            cpuset_cpus=self._read("cpuset", "cpuset.cpus"),
            cpuset_mems=self._read("cpuset", "cpuset.mems"),
            pids_max=None if pids is None else -1 if pids == "max" else int(pids),
        )

    def usage(self) -> Usage:
        """What is used. Raises: KernelError. See: man 7 cgroups (version 1)"""
        cpu_ns = self._number("cpuacct", "cpuacct.usage")
        return Usage(
            memory_bytes=self._number("memory", "memory.usage_in_bytes"),
            memory_peak_bytes=self._number("memory", "memory.max_usage_in_bytes"),
            cpu_usec=None if cpu_ns is None else cpu_ns // 1000,
            pids=self._number("pids", "pids.current"),
        )

    def events(self) -> Events:
        """How often limits were met. Raises: KernelError. See: man 7 cgroups (version 1)"""
        memory = keyed(self._read("memory", "memory.oom_control") or "")
        pids = keyed(self._read("pids", "pids.events") or "")
        cpu = keyed(self._read("cpu", "cpu.stat") or "")
        return Events(
            oom_kill=memory.get("oom_kill", 0),
            pids_max=pids.get("max", 0),
            throttled=cpu.get("nr_throttled", 0),
            throttled_usec=cpu.get("throttled_time", 0) // 1000,
        )

    def freeze(self, wanted: bool) -> None:
        """Stop every process, or let them go on. Raises: KernelError. See: man 7 cgroups (freezer)"""
        self._write("freezer", "freezer.state", "FROZEN" if wanted else "THAWED")

    def frozen(self) -> bool:
        """Whether every process is stopped. Raises: KernelError. See: man 7 cgroups (freezer)"""
        return self._read("freezer", "freezer.state") == "FROZEN"

    def _set_cpuset(self, limits: Limits) -> None:
        """A new version 1 cpuset is empty and takes no process until it has both CPUs and memory nodes."""
        place = self._places.get("cpuset")
        if place is None:
            return
        for name, wanted in (("cpuset.cpus", limits.cpuset_cpus), ("cpuset.mems", limits.cpuset_mems)):
            if wanted is not None:
                self._write("cpuset", name, wanted)
            else:
                inherit(place, name)

    def _write(self, controller: str, name: str, value: object) -> None:
        place = self._places.get(controller)
        if place is None:
            raise HostError(f"the limit {name}", reason=f"the {controller} controller is not mounted, or not delegated")
        file.write(place / name, str(value))

    def _has(self, controller: str, name: str) -> bool:
        return controller in self._places and os.path.exists(self._places[controller] / name)

    def _read(self, controller: str, name: str) -> str | None:
        try:
            return file.read(self._places[controller] / name)
        except (KeyError, KernelError):
            return None

    def _number(self, controller: str, name: str) -> int | None:
        text = self._read(controller, name)
        return None if text is None else int(text)


def inherit(place: Path, name: str) -> None:
    """Fill an empty cpuset file from its parent, whose own may be empty too.

    Raises: KernelError. See: man 7 cpuset
    """
    if file.read(place / name):
        return
    if not file.read(place.parent / name):
        inherit(place.parent, name)
    file.write(place / name, file.read(place.parent / name))
