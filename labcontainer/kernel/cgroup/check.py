"""Limits that make no sense, found before the Linux kernel sees them: its EINVAL would not say which, or why."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from labcontainer.errors import HostError, KernelError, UsageError
from labcontainer.kernel import file
from labcontainer.kernel.cgroup.limits import DeviceRule, Limits
from labcontainer.kernel.cgroup.usage import machine_memory_bytes

# Docker's: below it not even a container's first process can be started.
MINIMUM_MEMORY_BYTES = 6 << 20
# The Linux kernel's PID_MAX_LIMIT where pointers have 64 bits (include/linux/threads.h).
MOST_PIDS = 4 << 20

_BOOT_V1 = "boot with systemd.unified_cgroup_hierarchy=0 (version 1)"
# What version 2 has no file for: the limit, how it is called, and what can be done instead.
_GONE = {
    "memory_swappiness": (
        "a swappiness of a cgroup's own",
        "limit its swap (--memory-swap), or set the whole machine's: sudo sysctl -w vm.swappiness=10",
    ),
    "oom_kill_disable": ("a cgroup without the OOM killer", f"leave --oom-kill-disable out, or {_BOOT_V1}"),
    "cpu_realtime_runtime_usec": ("real-time CPU time for a cgroup", _BOOT_V1),
    "cpu_realtime_period_usec": ("real-time CPU time for a cgroup", _BOOT_V1),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """What limits are measured against: the numbers of the CPUs and memory nodes that are there, and the memory."""

    cpus: frozenset[int]
    mems: frozenset[int]
    memory_bytes: int


def machine() -> Machine:
    """This machine. Raises: KernelError. See: https://docs.kernel.org/admin-guide/cputopology.html"""
    nodes = "/sys/devices/system/node/online"
    return Machine(
        cpus=numbers(file.read("/sys/devices/system/cpu/online")),
        mems=numbers(file.read(nodes)) if os.path.exists(nodes) else frozenset({0}),
        memory_bytes=machine_memory_bytes(),
    )


def check(limits: Limits, here: Machine) -> None:
    """Find the first of `limits` that a machine such as `here` cannot give.

    Raises: UsageError (parameter, value, reason). See: man 7 cgroups
    """
    _memory(limits)
    _cpu(limits, here)
    _within("pids_max", limits.pids_max, 1, MOST_PIDS)
    _io(limits)
    _cpuset("cpuset_cpus", limits.cpuset_cpus, here.cpus, "CPUs")
    _cpuset("cpuset_mems", limits.cpuset_mems, here.mems, "memory nodes")
    for rule in limits.devices:
        _device(rule)


def refuse_gone(limits: Limits) -> None:
    """Find what version 1 alone could do, on a machine that has version 2.

    Raises: HostError with what can be done instead. See: https://docs.kernel.org/admin-guide/cgroup-v2.html
    """
    for name, value in limits.given().items():
        if name in _GONE and value is not False:
            feature, remedy = _GONE[name]
            raise HostError(feature, remedy, "cgroup version 2 has nothing of the kind")


def in_use(call: str, used_bytes: int) -> KernelError:
    """A memory limit below what is used, in words. See: https://docs.kernel.org/admin-guide/cgroup-v1/memory.html"""
    hint = f"{used_bytes >> 20} MiB are in use and cannot be taken back: choose a higher limit, or end processes first"
    return KernelError(errno.EBUSY, call, hint)


def numbers(text: str) -> frozenset[int]:
    """``0-2,5`` as the numbers it stands for.

    Raises: ValueError. See: man 7 cpuset (list format)
    """
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        if int(last or first) < int(first):
            raise ValueError(f"{part} runs backwards")
        # A cpuset's numbers end far below this: an endless range must not fill our memory.
        if int(last or first) > 1 << 16:
            raise ValueError(f"{part} is too large")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _memory(limits: Limits) -> None:
    memory, reservation, swap = limits.memory_bytes, limits.memory_reservation_bytes, limits.memory_swap_bytes
    _within("memory_bytes", memory, MINIMUM_MEMORY_BYTES, None)
    _within("memory_reservation_bytes", reservation, MINIMUM_MEMORY_BYTES, None)
    _within("memory_swappiness", limits.memory_swappiness, 0, 100, unlimited=False)
    if reservation is not None and memory not in (None, -1) and reservation > (memory or 0):
        raise UsageError(
            "memory_reservation_bytes", reservation, f"it must not be above the memory limit, {_mib(memory)}"
        )
    if swap in (None, -1):
        return
    if memory is None:
        raise UsageError("memory_swap_bytes", swap, "it counts memory and swap together, so it needs a memory limit")
    if memory == -1 or (swap or 0) < memory:
        raise UsageError(
            "memory_swap_bytes", swap, f"it counts memory and swap together: not below the memory limit, {_mib(memory)}"
        )


def _mib(size_bytes: int | None) -> str:
    return f"{(size_bytes or 0) / (1 << 20):g} MiB"


def _cpu(limits: Limits, here: Machine) -> None:
    quota, period = limits.cpu_quota_usec, limits.cpu_period_usec or 100_000
    _within("cpu_period_usec", limits.cpu_period_usec, 1000, 1_000_000, unlimited=False)
    _within("cpu_quota_usec", quota, 1000, None)
    _within("cpu_shares", limits.cpu_shares, 2, 262_144, unlimited=False)
    _within("cpu_burst_usec", limits.cpu_burst_usec, 0, quota if quota and quota > 0 else None, unlimited=False)
    _within("cpu_realtime_runtime_usec", limits.cpu_realtime_runtime_usec, 0, limits.cpu_realtime_period_usec)
    if quota is not None and quota > period * len(here.cpus):
        raise UsageError(
            "cpu_quota_usec", quota, f"{quota / period:g} CPUs are asked for, and this machine has {len(here.cpus)}"
        )


def _io(limits: Limits) -> None:
    _within("io_weight", limits.io_weight, 10, 1000, unlimited=False)
    for weight in limits.io_weights:
        _within(f"io_weight of {weight.major}:{weight.minor}", weight.weight, 10, 1000, unlimited=False)
    for limit in limits.io_limits:
        for name in ("read_bps", "write_bps", "read_iops", "write_iops"):
            _within(f"{name} of {limit.major}:{limit.minor}", getattr(limit, name), 1, None)


def _within(name: str, value: int | None, least: int, most: int | None, *, unlimited: bool = True) -> None:
    if value is None or (unlimited and value == -1):
        return
    if value < least or (most is not None and value > most):
        allowed = f"{least} to {most}" if most is not None else f"{least} or more"
        raise UsageError(name, value, f"it can be {allowed}" + (", or -1 for no limit" if unlimited else ""))


def _cpuset(name: str, text: str | None, there: frozenset[int], what: str) -> None:
    if text is None:
        return
    try:
        wanted = numbers(text)
    except ValueError:
        raise UsageError(name, text, "it must be numbers and ranges, such as 0-2,4") from None
    if not wanted:
        raise UsageError(name, text, "it names nothing")
    if wanted - there:
        raise UsageError(name, text, f"this machine has the {what} {','.join(map(str, sorted(there)))}")


def _device(rule: DeviceRule) -> None:
    if rule.type not in ("a", "b", "c"):
        raise UsageError("device rule's type", rule.type, "it must be a, b or c")
    if not rule.access or set(rule.access) - set("rwm"):
        raise UsageError("device rule's access", rule.access, "it must be made of r, w and m")
