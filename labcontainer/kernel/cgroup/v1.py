"""Version 1: a hierarchy for each controller, each with its own file names."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from labcontainer.errors import HostError, KernelError
from labcontainer.kernel import file
from labcontainer.kernel.cgroup import devices, tree
from labcontainer.kernel.cgroup.limits import Limits, deciding
from labcontainer.kernel.cgroup.usage import Events, Usage, keyed

# "No limit" is the largest number of pages that fits.
_NO_LIMIT = 1 << 62
# Each hierarchy costs a directory and a move: the others are joined by those who set a limit there.
_CORE = ("memory", "cpu", "pids")
_WITHOUT_V2 = ("cpuacct", "freezer")
# Which file has the weight depends on the scheduler of the disks.
_IO_WEIGHTS = ("blkio.bfq.weight", "blkio.weight")


class Controllers:
    """The version 1 controllers of one cgroup: a directory for each.

    `unified` is the same cgroup's directory in version 2, which on a hybrid host measures CPU time by itself.
    """

    def __init__(self, places: Mapping[str, Path], unified: Path | None) -> None:
        self._places = places
        self._unified = unified
        self._joined: dict[str, Path] = {}

    @property
    def directories(self) -> tuple[Path, ...]:
        """The directories that were made or found, each once: controllers mounted together (cpu,cpuacct) share one.

        See: man 7 cgroups (version 1)
        """
        return tuple(dict.fromkeys(self._joined.values()))

    def make(self) -> None:
        """Make the directories that every container needs. Raises: KernelError. See: man 7 cgroups (version 1)"""
        for controller in _CORE if self._unified else _CORE + _WITHOUT_V2:
            if controller in self._places:
                self._join(controller)

    def find(self) -> None:
        """Take up the directories that were made before. See: man 7 cgroups (version 1)"""
        self._joined = {controller: place for controller, place in self._places.items() if os.path.isdir(place)}

    def set(self, limits: Limits) -> None:
        """Write the limits. Raises: KernelError, HostError. See: man 7 cgroups (version 1)"""
        self._set_cpuset(limits)
        self._set_pair(
            "memory",
            ("memory.limit_in_bytes", limits.memory_bytes),
            ("memory.memsw.limit_in_bytes", limits.memory_swap_bytes if self._counts_swap() else None),
        )
        self._set_pair(
            "cpu", ("cpu.cfs_period_us", limits.cpu_period_usec), ("cpu.cfs_quota_us", limits.cpu_quota_usec or None)
        )
        for value, controller, name in (
            (limits.memory_reservation_bytes, "memory", "memory.soft_limit_in_bytes"),
            (limits.cpu_shares, "cpu", "cpu.shares"),
            ("max" if limits.pids_max == -1 else limits.pids_max, "pids", "pids.max"),
        ):
            if value is not None:
                self._write(controller, name, value)
        if limits.io_weight is not None:
            self._set_io_weight(limits.io_weight)
        if limits.devices and devices.may_rule():
            for rule in deciding(limits.devices):
                self._write("devices", "devices.allow" if rule.allow else "devices.deny", rule.v1())

    def limits(self) -> Limits:
        """The limits as the Linux kernel has them, without the devices. See: man 7 cgroups (version 1)"""
        pids = self._read("pids", "pids.max")
        weights = (self._number("blkio", name) for name in _IO_WEIGHTS)
        return Limits(
            memory_bytes=self._memory("memory.limit_in_bytes"),
            memory_reservation_bytes=self._memory("memory.soft_limit_in_bytes"),
            memory_swap_bytes=self._memory("memory.memsw.limit_in_bytes"),
            cpu_quota_usec=self._number("cpu", "cpu.cfs_quota_us"),
            cpu_period_usec=self._number("cpu", "cpu.cfs_period_us"),
            cpu_shares=self._number("cpu", "cpu.shares"),
            cpuset_cpus=self._read("cpuset", "cpuset.cpus"),
            cpuset_mems=self._read("cpuset", "cpuset.mems"),
            pids_max=None if pids is None else -1 if pids == "max" else int(pids),
            io_weight=next((weight for weight in weights if weight is not None), None),
        )

    def usage(self) -> Usage:
        """What is used. See: man 7 cgroups (version 1)"""
        return Usage(
            memory_bytes=self._number("memory", "memory.usage_in_bytes"),
            memory_peak_bytes=self._number("memory", "memory.max_usage_in_bytes"),
            cpu_usec=self._cpu_usec(),
            pids=self._number("pids", "pids.current"),
        )

    def events(self) -> Events:
        """How often limits were met. See: man 7 cgroups (version 1)"""
        memory = keyed(self._read("memory", "memory.oom_control") or "")
        pids = keyed(self._read("pids", "pids.events") or "")
        cpu = keyed(self._read("cpu", "cpu.stat") or "")
        return Events(
            # With swap counted, whichever of the two limits is met first counts alone.
            memory_max=sum(self._number("memory", f"memory.{kind}failcnt") or 0 for kind in ("", "memsw.")),
            oom_kill=memory.get("oom_kill", 0),
            pids_max=pids.get("max", 0),
            throttled=cpu.get("nr_throttled", 0),
            throttled_usec=cpu.get("throttled_time", 0) // 1000,
        )

    def freeze(self, wanted: bool) -> None:
        """Begin to stop every process, or let them go on. Raises: KernelError. See: man 7 cgroups (freezer)"""
        self._write("freezer", "freezer.state", "FROZEN" if wanted else "THAWED")

    def frozen(self) -> bool:
        """Whether every process is stopped. See: man 7 cgroups (freezer)"""
        return self._read("freezer", "freezer.state") == "FROZEN"

    def _join(self, controller: str) -> Path:
        place = self._joined.get(controller)
        if place is None:
            if controller not in self._places:
                mount = f"mkdir -p $1 && mount -t cgroup -o {controller} none $1"
                remedy = f"sudo sh -c '{mount}' sh /sys/fs/cgroup/{controller}"
                raise HostError(f"limits on {controller}", remedy, "the controller is not mounted, or not given to us")
            place = self._joined[controller] = self._places[controller]
            tree.make(place)
        return place

    def _set_cpuset(self, limits: Limits) -> None:
        """A new version 1 cpuset is empty and takes no process until it has both CPUs and memory nodes."""
        wanted = {"cpuset.cpus": limits.cpuset_cpus, "cpuset.mems": limits.cpuset_mems}
        if not any(wanted.values()):
            return
        place = self._join("cpuset")
        for name, value in wanted.items():
            # Whatever is asked for, the cgroup above must have it first.
            inherit(place.parent, name)
            if value is None:
                inherit(place, name)
            else:
                self._write("cpuset", name, value)

    def _set_pair(self, controller: str, *pairs: tuple[str, int | None]) -> None:
        """Two limits that must fit at every moment: which one may go first depends on what is there."""
        wanted = [(name, value) for name, value in pairs if value is not None]
        try:
            for name, value in wanted:
                self._write(controller, name, value)
        except KernelError as error:
            if error.errno != errno.EINVAL or len(wanted) < 2:
                raise
            for name, value in reversed(wanted):
                self._write(controller, name, value)

    def _set_io_weight(self, weight: int) -> None:
        place = self._join("blkio")
        for name in _IO_WEIGHTS:
            if (place / name).exists():
                self._write("blkio", name, weight)
                return
        raise HostError(
            "a weight of disk I/O",
            "sudo modprobe bfq && echo bfq | sudo tee /sys/block/*/queue/scheduler",
            "no scheduler of a disk here knows weights",
        )

    def _counts_swap(self) -> bool:
        return "memory" in self._joined and (self._joined["memory"] / "memory.memsw.limit_in_bytes").exists()

    def _cpu_usec(self) -> int | None:
        if self._unified is not None:
            return keyed(file.read(self._unified / "cpu.stat")).get("usage_usec")
        cpu_ns = self._number("cpuacct", "cpuacct.usage")
        return None if cpu_ns is None else cpu_ns // 1000

    def _memory(self, name: str) -> int | None:
        value = self._number("memory", name)
        return -1 if value is not None and value > _NO_LIMIT else value

    def _write(self, controller: str, name: str, value: object) -> None:
        file.write(self._join(controller) / name, str(value))

    def _read(self, controller: str, name: str) -> str | None:
        try:
            return file.read(self._joined[controller] / name)
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
