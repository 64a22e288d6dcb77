"""Version 2: one hierarchy, controllers switched on level by level."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from labcontainer.errors import HostError, KernelError
from labcontainer.kernel import file
from labcontainer.kernel.cgroup import devices
from labcontainer.kernel.cgroup.limits import Limits, v2_swap_bytes, weight_of_shares
from labcontainer.kernel.cgroup.usage import Events, Usage, keyed

WANTED = ("cpuset", "cpu", "io", "memory", "pids")


class Controllers:
    """The version 2 files of one cgroup."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.directories: tuple[Path, ...] = ()  # the unified directory is the cgroup's own

    def set(self, limits: Limits) -> None:
        """Write the limits.

        Raises: KernelError, HostError. See: https://docs.kernel.org/admin-guide/cgroup-v2.html#controllers
        """
        period = limits.cpu_period_usec or 100_000
        swap = None
        if limits.memory_swap_bytes is not None and limits.memory_bytes is not None:
            swap = v2_swap_bytes(limits.memory_bytes, limits.memory_swap_bytes)
        for value, name in (
            (_maximum(limits.memory_bytes), "memory.max"),
            (_maximum(limits.memory_reservation_bytes), "memory.low"),
            (f"{_maximum(limits.cpu_quota_usec)} {period}" if limits.cpu_quota_usec else None, "cpu.max"),
            (weight_of_shares(limits.cpu_shares) if limits.cpu_shares else None, "cpu.weight"),
            (limits.cpuset_cpus, "cpuset.cpus"),
            (limits.cpuset_mems, "cpuset.mems"),
            (_maximum(limits.pids_max), "pids.max"),
            (limits.io_weight, "io.weight"),
        ):
            if value is not None:
                self._write(name, str(value))
        if swap is not None and (self._place / "memory.swap.max").exists():
            self._write("memory.swap.max", str(_maximum(swap)))
        if limits.devices and os.geteuid() == 0:
            devices.attach(self._place, limits.devices)

    def limits(self) -> Limits:
        """The limits as the Linux kernel has them. See: https://docs.kernel.org/admin-guide/cgroup-v2.html#controllers"""
        quota, _, period = (self._read("cpu.max") or "").partition(" ")
        return Limits(
            memory_bytes=self._limit("memory.max"),
            cpu_quota_usec=-1 if quota == "max" else int(quota) if quota else None,
            cpu_period_usec=int(period) if period else None,
            cpuset_cpus=self._read("cpuset.cpus"),
            cpuset_mems=self._read("cpuset.mems"),
            pids_max=self._limit("pids.max"),
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
            oom_kill=memory.get("oom_kill", 0),
            pids_max=pids.get("max", 0),
            throttled=cpu.get("nr_throttled", 0),
            throttled_usec=cpu.get("throttled_usec", 0),
        )

    def freeze(self, wanted: bool) -> None:
        """Stop every process, or let them go on. Raises: KernelError. See: man 7 cgroups (freezer)"""
        self._write("cgroup.freeze", "1" if wanted else "0")

    def frozen(self) -> bool:
        """Whether every process is stopped. See: man 7 cgroups (freezer)"""
        return keyed(self._read("cgroup.events") or "").get("frozen") == 1

    def _write(self, name: str, value: str) -> None:
        if not (self._place / name).exists():
            raise HostError(f"the limit {name}", reason="its controller is not delegated to this cgroup")
        file.write(self._place / name, value)

    def _read(self, name: str) -> str | None:
        try:
            return file.read(self._place / name)
        except KernelError:
            return None

    def _limit(self, name: str) -> int | None:
        text = self._read(name)
        return None if text is None else -1 if text == "max" else int(text)


def enable_controllers(base: Path, top: Path) -> None:
    """Switch the controllers on for the children of `base` and of every cgroup above it, as far as they are there.

    A cgroup that has processes of its own cannot give controllers to its children; the root is exempt. Where we stand
    in
    such a cgroup ourselves (a session that was delegated to us), we move aside into a child first.

    Raises: KernelError. See: https://docs.kernel.org/admin-guide/cgroup-v2.html#no-internal-process-constraint
    """
    levels = [top / part for part in _prefixes(base.relative_to(top))]
    for level in levels:
        if not level.exists():
            file.mkdir(level)
        available = set(file.read(level / "cgroup.controllers").split())
        missing = available.intersection(WANTED) - set(file.read(level / "cgroup.subtree_control").split())
        if missing and os.access(level / "cgroup.subtree_control", os.W_OK):
            _switch_on(level, missing)


def _switch_on(level: Path, names: set[str]) -> None:
    text = " ".join(f"+{name}" for name in sorted(names))
    try:
        file.write(level / "cgroup.subtree_control", text)
    except KernelError as error:
        if error.errno != errno.EBUSY:
            raise
        aside = level / "others"
        if not aside.exists():
            file.mkdir(aside)
        for pid in file.read(level / "cgroup.procs").split():
            file.write(aside / "cgroup.procs", pid)
        file.write(level / "cgroup.subtree_control", text)


def _prefixes(path: Path) -> list[Path]:
    return [Path(), *(Path(*path.parts[: count + 1]) for count in range(len(path.parts)))]


def _maximum(value: int | None) -> int | str | None:
    return "max" if value == -1 else value
