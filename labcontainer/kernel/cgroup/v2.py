"""Version 2: one hierarchy, one directory, the same file names for every controller."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from labcontainer.errors import HostError, KernelError, UsageError
from labcontainer.kernel import file
from labcontainer.kernel.cgroup import block_io, devices, order, subtree, v2_reading
from labcontainer.kernel.cgroup import host as hosts
from labcontainer.kernel.cgroup.check import in_use, refuse_gone
from labcontainer.kernel.cgroup.convert import io_weight_of_blkio, v2_swap_bytes, weight_of_shares
from labcontainer.kernel.cgroup.limits import Limits
from labcontainer.kernel.cgroup.usage import Events, Usage


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

        Raises: KernelError, HostError (also for what version 1 alone can do), UsageError.
        See: https://docs.kernel.org/admin-guide/cgroup-v2.html#controllers
        """
        refuse_gone(limits)
        self._set_memory(limits)
        self._set_cpu(limits)
        self._set_io(limits)
        plain = {
            "cpuset.cpus": limits.cpuset_cpus,
            "cpuset.mems": limits.cpuset_mems,
            "pids.max": maximum(limits.pids_max),
            **{f"hugetlb.{huge.page_size}.max": maximum(huge.limit_bytes) for huge in limits.hugepages},
            **{f"hugetlb.{huge.page_size}.rsvd.max": maximum(huge.limit_bytes) for huge in limits.hugepages},
        }
        for name, text in plain.items():
            if text:
                self._write(name, text)
        for adapter in limits.rdma:
            self._write("rdma.max", adapter.line())
        if limits.devices and devices.may_rule():
            devices.attach(self._place, limits.devices)
        self._set_unified(limits.unified)

    def limits(self) -> Limits:
        """The limits as the Linux kernel has them, without the devices: a program cannot be read back as rules.

        See: https://docs.kernel.org/admin-guide/cgroup-v2.html#controllers
        """
        return v2_reading.limits(self._place)

    def usage(self) -> Usage:
        """What is used. See: https://docs.kernel.org/admin-guide/cgroup-v2.html#controllers"""
        return v2_reading.usage(self._place)

    def events(self) -> Events:
        """How often limits were met. See: https://docs.kernel.org/admin-guide/cgroup-v2.html#controllers"""
        return v2_reading.events(self._place)

    def freeze(self, wanted: bool) -> None:
        """Begin to stop every process, or let them go on. Raises: KernelError. See: man 7 cgroups (freezer)"""
        file.write(self._place / "cgroup.freeze", "1" if wanted else "0")

    def frozen(self) -> bool:
        """Whether every process is stopped. See: man 7 cgroups (freezer)"""
        return v2_reading.is_frozen(self._place)

    def freezer(self) -> Path | None:
        """The file that tells so. See: man 7 cgroups (freezer)"""
        return self._place / "cgroup.events"

    def _set_memory(self, limits: Limits) -> None:
        memory, swap = limits.memory_bytes, limits.memory_swap_bytes
        if swap is None and memory == -1:
            swap = -1  # as version 1, in which swap counts memory too
        if memory not in (None, -1) and limits.check_before_update:
            self._make_room(memory or 0)
        # Without swap (swapaccount=0) the Linux kernel has no file for it.
        if swap is not None and self._file("memory.max").with_name("memory.swap.max").exists():
            against = v2_reading.number(self._place, "memory.max") if memory is None else memory
            self._write("memory.swap.max", maximum(v2_swap_bytes(-1 if against is None else against, swap)))
        if memory is not None:
            self._write("memory.max", maximum(memory))
        low = limits.memory_reservation_bytes
        if low is not None:
            # What is kept for this cgroup while others are reclaimed: "no reservation" is nothing here, not everything.
            self._write("memory.low", "0" if low == -1 else str(low))

    def _make_room(self, memory: int) -> None:
        """Version 2 takes any limit and kills until it holds; version 1 reclaims, and refuses what it cannot reach."""
        used = v2_reading.number(self._place, "memory.current") or 0
        if used > memory:
            with contextlib.suppress(KernelError):  # EAGAIN: not all of it; ENOENT: before Linux 5.19
                file.write(self._place / "memory.reclaim", str(used - memory))
            used = v2_reading.number(self._place, "memory.current") or 0
        if used > memory:
            raise in_use(f"write({self._place / 'memory.max'}, {memory})", used)

    def _set_cpu(self, limits: Limits) -> None:
        wanted = {
            "cpu.weight": str(weight_of_shares(limits.cpu_shares)) if limits.cpu_shares is not None else "",
            "cpu.idle": "" if limits.cpu_idle is None else str(int(limits.cpu_idle)),
            "cpu.max": self._cpu_max(limits.cpu_quota_usec, limits.cpu_period_usec),
            "cpu.max.burst": "" if limits.cpu_burst_usec is None else str(limits.cpu_burst_usec),
        }
        order.write([(self._file(name), text) for name, text in wanted.items() if text])

    def _cpu_max(self, quota: int | None, period: int | None) -> str:
        if period is None:
            return maximum(quota)  # alone it leaves the period
        if quota is None:
            return f"{(v2_reading.text(self._place, 'cpu.max') or 'max').partition(' ')[0]} {period}"
        return f"{maximum(quota)} {period}"

    def _set_io(self, limits: Limits) -> None:
        if limits.io_weight is not None or limits.io_weights:
            # Which file there is depends on the scheduler of the disks; that of bfq counts as version 1 did.
            bfq = (self._place / "io.bfq.weight").exists()
            name = "io.bfq.weight" if bfq else "io.weight"
            if limits.io_weight is not None:
                self._write(name, str(limits.io_weight if bfq else io_weight_of_blkio(limits.io_weight)))
            for one in limits.io_weights:
                block_io.write(self._file(name), block_io.weight_line(one, version_1_range=bfq))
        for line in block_io.v2_lines(limits.io_limits):
            block_io.write(self._file("io.max"), line)

    def _set_unified(self, files: Mapping[str, str]) -> None:
        for name, content in files.items():
            if "/" in name or "." not in name:
                raise UsageError("unified", name, "it must be the name of a file in a cgroup, such as memory.high")
            for line in content.splitlines():
                self._write(name, line)

    def _write(self, name: str, text: str) -> None:
        file.write(self._file(name), text)

    def _file(self, name: str) -> Path:
        """Where `name` is, once its controller has been given to this cgroup."""
        path, controller = self._place / name, name.partition(".")[0]
        if not path.exists() and controller != "cgroup":
            with contextlib.suppress(KernelError):
                subtree.enable(self._place.parent, self._top, frozenset({controller}))
        if path.exists():
            return path
        if name == "io.weight":
            raise block_io.no_weight("*")
        if controller == "cgroup" or controller in subtree.names(self._place, "cgroup.controllers"):
            raise HostError(f"the limit {name}", "a newer Linux kernel", f"cgroups here have no file {name}")
        raise hosts.host().missing("blkio" if controller == "io" else controller, f"the limit {name}")


def maximum(value: int | None) -> str:
    """A number as version 2 writes it: ``max`` for -1, and empty for None.

    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#conventions
    """
    return "" if value is None else "max" if value == -1 else str(value)
