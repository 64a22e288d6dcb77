"""Version 1: a hierarchy for each controller, each with its own file names."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from labcontainer.errors import HostError, KernelError
from labcontainer.kernel import file
from labcontainer.kernel.cgroup import block_io, cpuset, devices, order, tree, v1_reading
from labcontainer.kernel.cgroup import host as hosts
from labcontainer.kernel.cgroup.check import in_use
from labcontainer.kernel.cgroup.limits import Limits, controller, deciding
from labcontainer.kernel.cgroup.usage import Events, Usage

# Each hierarchy costs a directory and a move: the others are joined by those who set a limit there. blkio is among
# them because it counts what its own processes read and write, from when they are in it.
_CORE = ("memory", "cpu", "pids", "blkio")
_WITHOUT_V2 = ("cpuacct", "freezer")


class Controllers:
    """The version 1 controllers of one cgroup: a directory for each.

    `alone` where no version 2 stands beside it, which would measure CPU time and freeze.
    """

    def __init__(self, places: Mapping[str, Path], *, alone: bool) -> None:
        self._places = places
        self._alone = alone
        self._joined: dict[str, Path] = {}

    @property
    def controllers(self) -> frozenset[str]:
        """The controllers that this user can use here. See: man 7 cgroups (version 1)"""
        return frozenset(self._places)

    @property
    def directories(self) -> tuple[Path, ...]:
        """The directories that were made or found, each once: controllers mounted together (cpu,cpuacct) share one.

        See: man 7 cgroups (version 1)
        """
        return tuple(dict.fromkeys(self._joined.values()))

    def make(self) -> None:
        """Make the directories that every container needs. Raises: KernelError. See: man 7 cgroups (version 1)"""
        for name in _CORE + _WITHOUT_V2 if self._alone else _CORE:
            if name in self._places:
                self._join(name)

    def find(self) -> None:
        """Take up the directories that were made before. See: man 7 cgroups (version 1)"""
        self._joined = {name: place for name, place in self._places.items() if os.path.isdir(place)}

    def set(self, limits: Limits) -> None:
        """Write the limits. Raises: KernelError, HostError. See: man 7 cgroups (version 1)"""
        for name in limits.given():
            if controller(name) not in self._places:
                raise hosts.host().missing(controller(name), f"the limit {name}")
        self._set_cpuset(limits)
        self._set_memory(limits)
        self._set_cpu(limits)
        if limits.pids_max is not None:
            self._write("pids", "pids.max", "max" if limits.pids_max == -1 else limits.pids_max)
        self._set_io(limits)
        for huge in limits.hugepages:
            for name in ("limit_in_bytes", "rsvd.limit_in_bytes"):
                self._write("hugetlb", f"hugetlb.{huge.page_size}.{name}", huge.limit_bytes)
        for adapter in limits.rdma:
            self._write("rdma", "rdma.max", adapter.line())
        if limits.devices and devices.may_rule():
            for rule in deciding(limits.devices):
                self._write("devices", "devices.allow" if rule.allow else "devices.deny", rule.v1())

    def limits(self) -> Limits:
        """The limits as the Linux kernel has them, without the devices. See: man 7 cgroups (version 1)"""
        return v1_reading.limits(self._joined)

    def usage(self) -> Usage:
        """What is used. See: man 7 cgroups (version 1)"""
        return v1_reading.usage(self._joined)

    def events(self) -> Events:
        """How often limits were met. See: man 7 cgroups (version 1)"""
        return v1_reading.events(self._joined)

    def freeze(self, wanted: bool) -> None:
        """Begin to stop every process, or let them go on. Raises: KernelError. See: man 7 cgroups (freezer)"""
        self._write("freezer", "freezer.state", "FROZEN" if wanted else "THAWED")

    def frozen(self) -> bool:
        """Whether every process is stopped. See: man 7 cgroups (freezer)"""
        return "freezer" in self._joined and file.read(self._joined["freezer"] / "freezer.state") == "FROZEN"

    def freezer(self) -> Path | None:
        """The file that tells so, once something has been frozen. See: man 7 cgroups (freezer)"""
        return self._places["freezer"] / "freezer.state" if "freezer" in self._places else None

    def _join(self, name: str) -> Path:
        place = self._joined.get(name)
        if place is None:
            if name not in self._places:
                raise hosts.host().missing(name, f"the {name} controller")
            place = self._joined[name] = self._places[name]
            if name == "blkio" and not place.parent.exists():
                tree.make(place.parent)
                block_io.count(place.parent)
            tree.make(place)
            if name == "cpuset":
                cpuset.inherit(place)
        return place

    def _set_cpuset(self, limits: Limits) -> None:
        """Whatever is asked for, the cgroup above must have it first; `_join` sees to that."""
        for name, value in (("cpuset.cpus", limits.cpuset_cpus), ("cpuset.mems", limits.cpuset_mems)):
            if value:
                self._write("cpuset", name, value)

    def _set_memory(self, limits: Limits) -> None:
        together = limits.memory_swap_bytes
        # It counts memory too: it must not stay limited where memory is not.
        if together is None and limits.memory_bytes == -1:
            together = -1
        if together is not None and not (self._join("memory") / "memory.memsw.limit_in_bytes").exists():
            together = None  # this Linux kernel does not count swap (swapaccount=0)
        try:
            self._order(
                "memory", {"memory.limit_in_bytes": limits.memory_bytes, "memory.memsw.limit_in_bytes": together}
            )
        except KernelError as error:
            if error.errno != errno.EBUSY:
                raise
            raise in_use(error.call, v1_reading.usage(self._joined).memory_bytes or 0) from None
        for name, value in (
            ("memory.soft_limit_in_bytes", limits.memory_reservation_bytes),
            ("memory.swappiness", limits.memory_swappiness),
            ("memory.oom_control", None if limits.oom_kill_disable is None else int(limits.oom_kill_disable)),
        ):
            if value is not None:
                self._write("memory", name, value)

    def _set_cpu(self, limits: Limits) -> None:
        writes = {
            "cpu.shares": limits.cpu_shares,
            "cpu.idle": None if limits.cpu_idle is None else int(limits.cpu_idle),
            "cpu.cfs_period_us": limits.cpu_period_usec,
            "cpu.cfs_quota_us": limits.cpu_quota_usec,
            "cpu.cfs_burst_us": limits.cpu_burst_usec,
        }
        self._order("cpu", writes)
        realtime = {
            "cpu.rt_period_us": limits.cpu_realtime_period_usec,
            "cpu.rt_runtime_us": limits.cpu_realtime_runtime_usec,
        }
        try:
            self._order("cpu", realtime)
        except KernelError as error:
            if error.errno not in (errno.EINVAL, errno.ENOENT):
                raise
            above = self._join("cpu").parent / "cpu.rt_runtime_us"
            raise HostError(
                "real-time CPU time",
                f"echo {limits.cpu_realtime_runtime_usec} | sudo tee {above}",
                "the cgroup above has less of it to give (at first none), or the Linux kernel is built without",
            ) from None

    def _set_io(self, limits: Limits) -> None:
        if limits.io_weight is not None:
            self._write("blkio", self._io_weight_file(), limits.io_weight)
        for one in limits.io_weights:
            self._write_io(f"{self._io_weight_file()}_device", block_io.weight_line(one, version_1_range=True))
        for name, text in block_io.v1_writes(limits.io_limits):
            self._write_io(name, text)

    def _io_weight_file(self) -> str:
        place = self._join("blkio")
        for name in v1_reading.IO_WEIGHTS:
            if (place / name).exists():
                return name
        raise block_io.no_weight("*")

    def _write_io(self, name: str, text: str) -> None:
        block_io.write(self._join("blkio") / name, text)

    def _order(self, name: str, wanted: Mapping[str, int | None]) -> None:
        writes = [(file_name, value) for file_name, value in wanted.items() if value is not None]
        if writes:
            place = self._join(name)
            order.write([(place / file_name, value) for file_name, value in writes])

    def _write(self, name: str, file_name: str, value: object) -> None:
        file.write(self._join(name) / file_name, str(value))
