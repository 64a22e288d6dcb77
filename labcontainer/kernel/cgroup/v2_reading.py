"""What version 2's files say of one cgroup; where its controller was not given to it, nothing."""

from __future__ import annotations

import os
from pathlib import Path

from labcontainer.errors import KernelError
from labcontainer.kernel import file
from labcontainer.kernel.cgroup import block_io
from labcontainer.kernel.cgroup.convert import blkio_of_io_weight, shares_of_weight, together
from labcontainer.kernel.cgroup.limits import NO_LIMIT, HugepageLimit, Limits, rdma_limits
from labcontainer.kernel.cgroup.usage import Events, Usage, keyed, machine_memory_bytes


def limits(place: Path) -> Limits:
    """The limits as the Linux kernel has them, without the devices: a program cannot be read back as rules.

    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#controllers
    """
    quota, _, period = (text(place, "cpu.max") or "").partition(" ")
    memory, low, weight, idle = (number(place, name) for name in ("memory.max", "memory.low", "cpu.weight", "cpu.idle"))
    bfq, other = text(place, "io.bfq.weight"), text(place, "io.weight")
    return Limits(
        memory_bytes=memory,
        memory_reservation_bytes=-1 if low == 0 else low,
        memory_swap_bytes=together(memory, number(place, "memory.swap.max")),
        cpu_quota_usec=-1 if quota == "max" else int(quota) if quota else None,
        cpu_period_usec=int(period) if period else None,
        cpu_burst_usec=number(place, "cpu.max.burst"),
        cpu_shares=None if weight is None else shares_of_weight(weight),
        cpu_idle=None if idle is None else bool(idle),
        cpuset_cpus=text(place, "cpuset.cpus"),
        cpuset_mems=text(place, "cpuset.mems"),
        pids_max=number(place, "pids.max"),
        io_weight=_io_weight(bfq, other),
        io_weights=block_io.weights(bfq if bfq is not None else other or "", version_1_range=bfq is not None),
        io_limits=block_io.v2_limits(text(place, "io.max") or ""),
        hugepages=_hugepages(place),
        rdma=rdma_limits(text(place, "rdma.max") or ""),
    )


def usage(place: Path) -> Usage:
    """What is used. See: https://docs.kernel.org/admin-guide/cgroup-v2.html#controllers"""
    memory, stat = number(place, "memory.current"), keyed(text(place, "memory.stat") or "")
    cpu, io = keyed(text(place, "cpu.stat") or ""), text(place, "io.stat")
    return Usage(
        memory_bytes=memory,
        memory_peak_bytes=number(place, "memory.peak"),
        memory_limit_bytes=None if memory is None else _memory_limit(place),
        memory_swap_bytes=number(place, "memory.swap.current"),
        memory_inactive_file_bytes=stat.get("inactive_file"),
        memory_stat=stat,
        cpu_usec=cpu.get("usage_usec"),
        cpu_user_usec=cpu.get("user_usec"),
        cpu_system_usec=cpu.get("system_usec"),
        cpu_periods=cpu.get("nr_periods"),
        cpu_throttled=cpu.get("nr_throttled"),
        cpu_throttled_usec=cpu.get("throttled_usec"),
        pids=number(place, "pids.current"),
        block_io=None if io is None else block_io.v2_use(io),
    )


def events(place: Path) -> Events:
    """How often limits were met. See: https://docs.kernel.org/admin-guide/cgroup-v2.html#controllers"""
    memory, pids, cpu = (keyed(text(place, name) or "") for name in ("memory.events", "pids.events", "cpu.stat"))
    return Events(
        memory_max=memory.get("max", 0),
        oom=memory.get("oom"),
        oom_kill=memory.get("oom_kill", 0),
        pids_max=pids.get("max", 0),
        throttled=cpu.get("nr_throttled", 0),
        throttled_usec=cpu.get("throttled_usec", 0),
    )


def is_frozen(place: Path) -> bool:
    """Whether every process of the version 2 cgroup `place` is stopped.

    Raises: KernelError. See: man 7 cgroups (cgroup.events)
    """
    return keyed(file.read(place / "cgroup.events")).get("frozen") == 1


def text(place: Path, name: str) -> str | None:
    """What the file `name` says; None where there is none. See: man 7 cgroups (version 2)"""
    try:
        return file.read(place / name)
    except KernelError:
        return None


def number(place: Path, name: str) -> int | None:
    """The number in the file `name`; -1 for ``max``. See: man 7 cgroups (version 2)"""
    found = text(place, name)
    return None if found is None else -1 if found == "max" else int(found)


def _memory_limit(place: Path) -> int:
    """A limit holds for all that is below it, so the smallest on the way up decides."""
    found = [machine_memory_bytes()]
    for level in (place, *place.parents):
        limit = number(level, "memory.max")
        if limit is None:
            break  # the root of the hierarchy has no limit
        if limit != -1:
            found.append(limit)
    return min(found)


def _io_weight(bfq: str | None, other: str | None) -> int | None:
    if bfq is not None:
        return keyed(bfq).get("default")
    weight = keyed(other or "").get("default")
    return None if weight is None else blkio_of_io_weight(weight)


def _hugepages(place: Path) -> tuple[HugepageLimit, ...]:
    try:
        names = sorted(os.listdir(place))
    except OSError:
        return ()  # it was removed meanwhile
    sizes = [name.split(".")[1] for name in names if name.startswith("hugetlb.") and name.endswith(".max")]
    limited = ((size, number(place, f"hugetlb.{size}.max")) for size in dict.fromkeys(sizes))
    return tuple(HugepageLimit(size, limit) for size, limit in limited if limit is not None and 0 <= limit < NO_LIMIT)
