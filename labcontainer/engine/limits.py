"""What ``run``, ``create`` and ``update`` take to limit a container: docker-py's keywords, docker's rules.

    >>> from labcontainer.engine import limits
    >>> limits.parse({"mem_limit": "64m", "nano_cpus": 500_000_000}).resources().memory
    Memory(limit=67108864, …, swap=134217728, …)

Sizes are bytes, or texts such as ``64m``; -1 is no limit. In one thing this is stricter than docker: more memory or CPU
time than the machine has is refused, because a limit that never limits is a mistake.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from labcontainer.engine.disks import Rate, Weight, rates, weights
from labcontainer.errors import UsageError
from labcontainer.kernel import cgroup
from labcontainer.kernel.cgroup.check import MOST_PIDS
from labcontainer.oci.resources import BlockIo, Cpu, DeviceRule, Memory, Pids, Resources
from labcontainer.runtime import resources

CPU_PERIOD_USEC = 100_000
_LEAST_MEMORY_BYTES = 6 << 20
_LEAST_NANO_CPUS = 10**7
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}

# How the Linux kernel's side calls what is wrong, and which keyword that was.
_KEYWORDS = {
    "memory_bytes": "mem_limit",
    "memory_swap_bytes": "memswap_limit",
    "memory_reservation_bytes": "mem_reservation",
    "memory_swappiness": "mem_swappiness",
    "cpu_quota_usec": "cpu_quota",
    "cpu_period_usec": "cpu_period",
    "cpu_shares": "cpu_shares",
    "cpuset_cpus": "cpuset_cpus",
    "cpuset_mems": "cpuset_mems",
    "pids_max": "pids_limit",
    "io_weight": "blkio_weight",
}
# Keywords whose flag is called otherwise: errors name the flag, as the command line has it.
_FLAGS = {"mem_limit": "memory", "memswap_limit": "memory-swap", "nano_cpus": "cpus"}


@dataclass(frozen=True, slots=True)
class Constraints:
    """Limits under docker-py's names, parsed and checked. None leaves what is there, -1 is no limit."""

    mem_limit: int | None = None
    memswap_limit: int | None = None
    mem_reservation: int | None = None
    mem_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    oom_score_adj: int | None = None
    nano_cpus: int | None = None
    cpu_quota: int | None = None
    cpu_period: int | None = None
    cpu_shares: int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    pids_limit: int | None = None
    blkio_weight: int | None = None
    blkio_weight_device: tuple[Weight, ...] = ()
    device_read_bps: tuple[Rate, ...] = ()
    device_write_bps: tuple[Rate, ...] = ()
    device_read_iops: tuple[Rate, ...] = ()
    device_write_iops: tuple[Rate, ...] = ()

    @property
    def need_cgroup(self) -> bool:
        """Whether anything is asked for that a cgroup holds."""
        told = (getattr(self, name) for name in NAMES if name != "oom_score_adj")
        return any(value not in (None, False, (), -1) for value in told)

    def resources(self, devices: Sequence[DeviceRule] = ()) -> Resources:
        """The same in the runtime specification's words. See: runtime-spec v1.2.0 config-linux.md#control-groups"""
        quota, period = self.cpu_quota, self.cpu_period
        if self.nano_cpus is not None:
            quota = -1 if self.nano_cpus == -1 else self.nano_cpus * CPU_PERIOD_USEC // 10**9
            period = CPU_PERIOD_USEC
        memory = Memory(
            limit=self.mem_limit,
            reservation=self.mem_reservation,
            swap=self._swap(),
            swappiness=self.mem_swappiness,
            disable_oom_killer=self.oom_kill_disable,
        )
        cpu = Cpu(shares=self.cpu_shares, quota=quota, period=period, cpus=self.cpuset_cpus, mems=self.cpuset_mems)
        block_io = BlockIo(
            weight=self.blkio_weight,
            weight_device=tuple(one.device() for one in self.blkio_weight_device),
            throttle_read_bps_device=tuple(one.device() for one in self.device_read_bps),
            throttle_write_bps_device=tuple(one.device() for one in self.device_write_bps),
            throttle_read_iops_device=tuple(one.device() for one in self.device_read_iops),
            throttle_write_iops_device=tuple(one.device() for one in self.device_write_iops),
        )
        return Resources(
            devices=tuple(devices),
            memory=memory if memory != Memory() else None,
            cpu=cpu if cpu != Cpu() else None,
            pids=Pids(self.pids_limit) if self.pids_limit is not None else None,
            block_io=block_io if block_io != BlockIo() else None,
        )

    def _swap(self) -> int | None:
        if self.memswap_limit is not None:
            return self.memswap_limit
        if self.mem_limit is None:
            return None
        # Docker's default: as much swap as memory, counted together.
        return -1 if self.mem_limit == -1 else 2 * self.mem_limit


NAMES = tuple(field.name for field in fields(Constraints))


def take(settings: MutableMapping[str, Any]) -> Constraints:
    """`parse` those of the `settings` that are limits, and take them out. Raises: UsageError, HostError."""
    return parse({name: settings.pop(name) for name in NAMES if name in settings})


def parse(given: Mapping[str, Any]) -> Constraints:
    """Check docker-py's keywords for limits. What is None was not given.

    Raises: UsageError (the flag, the value, what can be done), HostError (a disk's).
    """
    told = {name: value for name, value in given.items() if value is not None}
    unknown = set(told) - set(NAMES)
    if unknown:
        raise TypeError(f"unknown limits: {', '.join(sorted(unknown))}")
    parsed = Constraints(
        mem_limit=memory_bytes(told.get("mem_limit")),
        memswap_limit=_swap_bytes(told.get("memswap_limit")),
        mem_reservation=memory_bytes(told.get("mem_reservation"), "memory-reservation"),
        mem_swappiness=_number(told, "mem_swappiness", unset=-1),
        oom_kill_disable=told.get("oom_kill_disable"),
        oom_score_adj=_score(told),
        nano_cpus=nano_cpus(told.get("nano_cpus")),
        cpu_quota=_number(told, "cpu_quota", unset=0),
        cpu_period=_number(told, "cpu_period", unset=0),
        cpu_shares=_number(told, "cpu_shares", unset=0),
        cpuset_cpus=told.get("cpuset_cpus") or None,
        cpuset_mems=told.get("cpuset_mems") or None,
        pids_limit=pids(told.get("pids_limit")),
        blkio_weight=_number(told, "blkio_weight", unset=0),
        blkio_weight_device=weights("blkio-weight-device", told.get("blkio_weight_device")),
        device_read_bps=rates("device-read-bps", told.get("device_read_bps"), size_bytes),
        device_write_bps=rates("device-write-bps", told.get("device_write_bps"), size_bytes),
        device_read_iops=rates("device-read-iops", told.get("device_read_iops"), None),
        device_write_iops=rates("device-write-iops", told.get("device_write_iops"), None),
    )
    if parsed.need_cgroup:
        _check_conflicts(parsed)
        _check_host(parsed, told)
    return parsed


def flag(keyword: str) -> str:
    """The command line's word for docker-py's `keyword`, without the hyphens before it."""
    return _FLAGS.get(keyword, keyword.replace("mem_", "memory_").replace("_", "-"))


def size_bytes(name: str, text: int | str) -> int:
    """``64m``, ``1.5g`` or a number of bytes. Raises: UsageError."""
    match = _SIZE.fullmatch(str(text))
    if not match:
        raise UsageError(name, text, "give bytes, or a number with b, k, m or g: 64m")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def memory_bytes(limit: int | str | None, name: str = "memory") -> int | None:
    """A size of memory; -1 for no limit. Raises: UsageError below docker's 6 MiB, and above the machine."""
    if limit is None:
        return None
    if str(limit) == "-1":
        return -1
    size = size_bytes(name, limit)
    if size < _LEAST_MEMORY_BYTES:
        raise UsageError(name, limit, "the least that a container can start with is 6m")
    total = cgroup.machine().memory_bytes
    if size > total:
        raise UsageError(name, limit, f"this machine has {total >> 20}m")
    return size


def nano_cpus(cpus: int | float | None) -> int | None:
    """Billionths of a CPU, checked against this machine; -1 for no limit. Raises: UsageError."""
    if cpus is None or cpus == -1:
        return cpus if cpus is None else -1
    count = os.cpu_count() or 1
    if not _LEAST_NANO_CPUS <= cpus <= count * 10**9:
        raise UsageError("cpus", cpus / 10**9, f"this machine has {count}: choose from 0.01 to {count}.00")
    return round(cpus)


def pids(limit: int | None) -> int | None:
    """The most processes and threads; -1 for no limit. Raises: UsageError."""
    if limit is None or limit == -1:
        return limit
    if not 1 <= limit <= MOST_PIDS:
        raise UsageError("pids-limit", limit, f"it can be 1 to {MOST_PIDS}, or -1 for no limit")
    return limit


def _swap_bytes(limit: int | str | None) -> int | None:
    if limit is None or str(limit) == "0":
        return None  # as in docker: not given
    return -1 if str(limit) == "-1" else size_bytes("memory-swap", limit)


def _number(told: Mapping[str, Any], keyword: str, *, unset: int) -> int | None:
    value = told.get(keyword)
    if value is None or value == unset:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise UsageError(flag(keyword), value, "it must be a whole number")
    # Whatever is below 0 means no limit to docker.
    return -1 if keyword == "cpu_quota" and value < 0 else value


def _score(told: Mapping[str, Any]) -> int | None:
    value = told.get("oom_score_adj")
    if value is not None and not (isinstance(value, int) and -1000 <= value <= 1000):
        raise UsageError("oom-score-adj", value, "it can be -1000 (killed last) to 1000 (killed first)")
    return value


def _check_host(parsed: Constraints, told: Mapping[str, Any]) -> None:
    wanted = resources.limits(parsed.resources())
    try:
        cgroup.check(wanted, cgroup.machine())
    except UsageError as error:
        keyword = _KEYWORDS.get(error.parameter, error.parameter)
        raise UsageError(flag(keyword), told.get(keyword, error.value), error.reason) from None
    if cgroup.host().version == "v2":
        cgroup.refuse_gone(wanted)


def _check_conflicts(parsed: Constraints) -> None:
    if parsed.nano_cpus is not None:
        for keyword in ("cpu_period", "cpu_quota"):
            value = getattr(parsed, keyword)
            if value is not None:
                reason = "--cpus sets quota and period itself: give it alone, or both of these without it"
                raise UsageError(flag(keyword), value, reason)
    memory, swap = parsed.mem_limit, parsed.memswap_limit
    if swap not in (None, -1) and memory in (None, -1):
        raise UsageError("memory-swap", swap, "it counts memory and swap together: give --memory as well, or -1")
