"""What version 1's files say of one cgroup; where a controller was not joined, nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from labcontainer.errors import KernelError
from labcontainer.kernel import file
from labcontainer.kernel.cgroup import block_io, tree
from labcontainer.kernel.cgroup.limits import NO_LIMIT, HugepageLimit, Limits, rdma_limits
from labcontainer.kernel.cgroup.usage import DeviceIo, Events, Usage, keyed, machine_memory_bytes

# Which file has the weight depends on the scheduler of the disks.
IO_WEIGHTS = ("blkio.bfq.weight", "blkio.weight")

Places = Mapping[str, Path]


def limits(places: Places) -> Limits:
    """The limits as the Linux kernel has them, without the devices. See: man 7 cgroups (version 1)"""
    pids = _text(places, "pids", "pids.max")
    idle = _number(places, "cpu", "cpu.idle")
    weight = next((name for name in IO_WEIGHTS if "blkio" in places and (places["blkio"] / name).exists()), "")
    killing = keyed(_text(places, "memory", "memory.oom_control") or "").get("oom_kill_disable")
    rates = {name: _text(places, "blkio", name) or "" for name, _ in block_io.THROTTLES.values()}
    return Limits(
        memory_bytes=_memory(places, "memory.limit_in_bytes"),
        memory_reservation_bytes=_memory(places, "memory.soft_limit_in_bytes"),
        memory_swap_bytes=_memory(places, "memory.memsw.limit_in_bytes"),
        memory_swappiness=_number(places, "memory", "memory.swappiness"),
        oom_kill_disable=None if killing is None else bool(killing),
        cpu_quota_usec=_number(places, "cpu", "cpu.cfs_quota_us"),
        cpu_period_usec=_number(places, "cpu", "cpu.cfs_period_us"),
        cpu_burst_usec=_number(places, "cpu", "cpu.cfs_burst_us"),
        cpu_shares=_number(places, "cpu", "cpu.shares"),
        cpu_idle=None if idle is None else bool(idle),
        cpu_realtime_runtime_usec=_number(places, "cpu", "cpu.rt_runtime_us"),
        cpu_realtime_period_usec=_number(places, "cpu", "cpu.rt_period_us"),
        cpuset_cpus=_text(places, "cpuset", "cpuset.cpus"),
        cpuset_mems=_text(places, "cpuset", "cpuset.mems"),
        pids_max=None if pids is None else -1 if pids == "max" else int(pids),
        io_weight=_number(places, "blkio", weight) if weight else None,
        io_weights=block_io.weights(_text(places, "blkio", f"{weight}_device") or "", version_1_range=True),
        io_limits=block_io.v1_limits(rates),
        hugepages=_hugepages(places),
        rdma=rdma_limits(_text(places, "rdma", "rdma.max") or ""),
    )


def usage(places: Places) -> Usage:
    """What is used. See: https://docs.kernel.org/admin-guide/cgroup-v1/memory.html, …/cpuacct.html"""
    memory = _number(places, "memory", "memory.usage_in_bytes")
    stat = keyed(_text(places, "memory", "memory.stat") or "")
    with_swap = _number(places, "memory", "memory.memsw.usage_in_bytes")
    cpu = keyed(_text(places, "cpu", "cpu.stat") or "")
    times = (_number(places, "cpuacct", f"cpuacct.usage{which}") for which in ("", "_user", "_sys"))
    cpu_usec, user_usec, system_usec = (None if ns is None else ns // 1000 for ns in times)
    return Usage(
        memory_bytes=memory,
        memory_peak_bytes=_number(places, "memory", "memory.max_usage_in_bytes"),
        memory_limit_bytes=min(stat["hierarchical_memory_limit"], machine_memory_bytes()) if stat else None,
        memory_swap_bytes=None if memory is None or with_swap is None else max(0, with_swap - memory),
        memory_inactive_file_bytes=stat.get("total_inactive_file"),
        memory_stat=stat,
        cpu_usec=cpu_usec,
        cpu_user_usec=user_usec,
        cpu_system_usec=system_usec,
        cpu_periods=cpu.get("nr_periods"),
        cpu_throttled=cpu.get("nr_throttled"),
        cpu_throttled_usec=cpu["throttled_time"] // 1000 if cpu else None,
        pids=_number(places, "pids", "pids.current"),
        block_io=_block_io(places),
    )


def events(places: Places) -> Events:
    """How often limits were met. See: man 7 cgroups (version 1)"""
    memory = keyed(_text(places, "memory", "memory.oom_control") or "")
    cpu = keyed(_text(places, "cpu", "cpu.stat") or "")
    return Events(
        # With swap counted, whichever of the two limits is met first counts alone.
        memory_max=sum(_number(places, "memory", f"memory.{kind}failcnt") or 0 for kind in ("", "memsw.")),
        oom_kill=_kills(places),
        under_oom=bool(memory["under_oom"]) if memory else None,
        pids_max=keyed(_text(places, "pids", "pids.events") or "").get("max", 0),
        throttled=cpu.get("nr_throttled", 0),
        throttled_usec=cpu.get("throttled_time", 0) // 1000,
    )


def _kills(places: Places) -> int:
    """A kill counts in the cgroup of the process that was killed, and version 1 does not add up what is below."""
    total = 0
    for place in tree.below(places["memory"]) if "memory" in places else ():
        with contextlib.suppress(KernelError):  # it was removed meanwhile
            total += keyed(file.read(place / "memory.oom_control")).get("oom_kill", 0)
    return total


def _block_io(places: Places) -> tuple[DeviceIo, ...] | None:
    texts = {name: _text(places, "blkio", name) for name in block_io.V1_COUNTERS}
    known = {name: text for name, text in texts.items() if text is not None}
    return block_io.v1_use(known) if known else None


def _hugepages(places: Places) -> tuple[HugepageLimit, ...]:
    suffix = ".limit_in_bytes"
    names = sorted(os.listdir(places["hugetlb"])) if "hugetlb" in places else ()
    sizes = [name.split(".")[1] for name in names if name.endswith(suffix) and ".rsvd." not in name]
    limited = ((size, _number(places, "hugetlb", f"hugetlb.{size}{suffix}")) for size in sizes)
    return tuple(HugepageLimit(size, limit) for size, limit in limited if limit is not None and limit < NO_LIMIT)


def _memory(places: Places, name: str) -> int | None:
    value = _number(places, "memory", name)
    return -1 if value is not None and value > NO_LIMIT else value


def _text(places: Places, controller: str, name: str) -> str | None:
    try:
        return file.read(places[controller] / name)
    except (KeyError, KernelError):
        return None


def _number(places: Places, controller: str, name: str) -> int | None:
    text = _text(places, controller, name)
    return None if text is None else int(text)
