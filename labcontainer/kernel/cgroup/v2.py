"""Version 2: one hierarchy, one directory, the same file names for every controller."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from labcontainer.errors import HostError, KernelError
from labcontainer.kernel import file
from labcontainer.kernel.cgroup import devices, subtree
from labcontainer.kernel.cgroup.limits import (
    Limits,
    blkio_of_io_weight,
    io_weight_of_blkio,
    shares_of_weight,
    v2_swap_bytes,
    weight_of_shares,
)
from labcontainer.kernel.cgroup.usage import Events, Usage, keyed

_NOT_DELEGATED = "its controller is not given to this cgroup"


class Controllers:
    """The version 2 files of the cgroup `place`; `top` is where this user's part of the hierarchy begins."""

    directories: tuple[Path, ...] = ()  # those of version 1; ours is the cgroup's own

    def __init__(self, place: Path, top: Path) -> None:
        self._place = place
        self._top = top

    def make(self) -> None:
        """Have the controllers given to this cgroup. Raises: KernelError. See: man 7 cgroups (version 2)"""
        subtree.enable(self._place.parent, self._top)

    def find(self) -> None:
        """Nothing is to be looked for: there is one directory. See: man 7 cgroups (version 2)"""

    def set(self, limits: Limits) -> None:
        """Write the limits.

        Raises: KernelError, HostError. See: https://docs.kernel.org/admin-guide/cgroup-v2.html#controllers
        """
        for name, value in self._texts(limits).items():
            self._write(name, value)
        swap = limits.memory_swap_bytes
        if swap is not None and (self._place / "memory.swap.max").exists():
            memory = limits.memory_bytes if limits.memory_bytes is not None else self._limit("memory.max") or 0
            self._write("memory.swap.max", _maximum(v2_swap_bytes(memory, swap)))
        if limits.io_weight is not None:
            self._set_io_weight(limits.io_weight)
        if limits.devices and devices.may_rule():
            devices.attach(self._place, limits.devices)

    def limits(self) -> Limits:
        """The limits as the Linux kernel has them, without the devices: a program cannot be read back as rules.

        See: https://docs.kernel.org/admin-guide/cgroup-v2.html#controllers
        """
        quota, _, period = (self._read("cpu.max") or "").partition(" ")
        memory, swap, weight = self._limit("memory.max"), self._limit("memory.swap.max"), self._limit("cpu.weight")
        low = self._limit("memory.low")
        return Limits(
            memory_bytes=memory,
            memory_reservation_bytes=-1 if low == 0 else low,
            memory_swap_bytes=_together(memory, swap),
            cpu_quota_usec=-1 if quota == "max" else int(quota) if quota else None,
            cpu_period_usec=int(period) if period else None,
            cpu_shares=None if weight is None else shares_of_weight(weight),
            cpuset_cpus=self._read("cpuset.cpus"),
            cpuset_mems=self._read("cpuset.mems"),
            pids_max=self._limit("pids.max"),
            io_weight=self._io_weight(),
        )

    def usage(self) -> Usage:
        """What is used. See: https://docs.kernel.org/admin-guide/cgroup-v2.html#controllers"""
        return Usage(
            memory_bytes=self._limit("memory.current"),
            memory_peak_bytes=self._limit("memory.peak"),
            cpu_usec=keyed(self._read("cpu.stat") or "").get("usage_usec"),
            pids=self._limit("pids.current"),
        )

    def events(self) -> Events:
        """How often limits were met. See: https://docs.kernel.org/admin-guide/cgroup-v2.html#controllers"""
        memory, pids, cpu = (keyed(self._read(name) or "") for name in ("memory.events", "pids.events", "cpu.stat"))
        return Events(
            memory_max=memory.get("max", 0),
            oom=memory.get("oom", 0),
            oom_kill=memory.get("oom_kill", 0),
            pids_max=pids.get("max", 0),
            throttled=cpu.get("nr_throttled", 0),
            throttled_usec=cpu.get("throttled_usec", 0),
        )

    def freeze(self, wanted: bool) -> None:
        """Begin to stop every process, or let them go on. Raises: KernelError. See: man 7 cgroups (freezer)"""
        file.write(self._place / "cgroup.freeze", "1" if wanted else "0")

    def frozen(self) -> bool:
        """Whether every process is stopped. See: man 7 cgroups (freezer)"""
        return is_frozen(self._place)

    def _texts(self, limits: Limits) -> dict[str, str]:
        low = limits.memory_reservation_bytes
        wanted = {
            "memory.max": _maximum(limits.memory_bytes),
            # What is kept for this cgroup while others are reclaimed: here "no reservation" is nothing, not everything.
            "memory.low": "0" if low == -1 else _maximum(low),
            "cpu.max": self._cpu_max(limits.cpu_quota_usec or None, limits.cpu_period_usec),
            "cpu.weight": str(weight_of_shares(limits.cpu_shares)) if limits.cpu_shares else "",
            "cpuset.cpus": limits.cpuset_cpus or "",
            "cpuset.mems": limits.cpuset_mems or "",
            "pids.max": _maximum(limits.pids_max),
        }
        return {name: text for name, text in wanted.items() if text}

    def _cpu_max(self, quota: int | None, period: int | None) -> str:
        if period is None:
            return _maximum(quota)  # alone it leaves the period
        if quota is None:
            return f"{(self._read('cpu.max') or 'max').partition(' ')[0]} {period}"
        return f"{_maximum(quota)} {period}"

    def _set_io_weight(self, weight: int) -> None:
        # Which file has it depends on the scheduler of the disks; the first counts as version 1 did.
        if (self._place / "io.bfq.weight").exists():
            self._write("io.bfq.weight", str(weight))
        else:
            self._write("io.weight", str(io_weight_of_blkio(weight)))

    def _io_weight(self) -> int | None:
        bfq, weight = (keyed(self._read(name) or "").get("default") for name in ("io.bfq.weight", "io.weight"))
        return bfq if bfq is not None else None if weight is None else blkio_of_io_weight(weight)

    def _write(self, name: str, value: str) -> None:
        try:
            file.write(self._place / name, value)
        except KernelError as error:
            if error.errno != errno.ENOENT:
                raise
            raise HostError(f"the limit {name}", _remedy(name), _NOT_DELEGATED) from None

    def _read(self, name: str) -> str | None:
        try:
            return file.read(self._place / name)
        except KernelError:
            return None

    def _limit(self, name: str) -> int | None:
        text = self._read(name)
        return None if text is None else -1 if text == "max" else int(text)


def is_frozen(place: Path) -> bool:
    """Whether every process of the version 2 cgroup `place` is stopped.

    Raises: KernelError. See: man 7 cgroups (cgroup.events)
    """
    return keyed(file.read(place / "cgroup.events")).get("frozen") == 1


def _together(memory: int | None, swap: int | None) -> int | None:
    if memory is None or swap is None:
        return None
    return -1 if -1 in (memory, swap) else memory + swap


def _maximum(value: int | None) -> str:
    return "" if value is None else "max" if value == -1 else str(value)


def _remedy(name: str) -> str:
    if name in ("io.weight", "io.bfq.weight"):
        return "sudo modprobe bfq && echo bfq | sudo tee /sys/block/*/queue/scheduler"
    if os.geteuid() == 0:
        return "cgroup_no_v1=all on the Linux kernel's command line"
    unit = "/etc/systemd/system/user@.service.d"
    return (
        f'sudo sh -c \'mkdir -p {unit} && printf "[Service]\\nDelegate=yes\\n" > {unit}/delegate.conf'
        " && systemctl daemon-reload', then log in again"
    )
