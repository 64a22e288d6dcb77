"""What a cgroup may be told: limits as data, the same for both versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeviceRule:
    """Allow or deny devices: `type` c, b or a (both), a number or None for every one, `access` of r, w and m."""

    allow: bool
    type: str = "a"
    major: int | None = None
    minor: int | None = None
    access: str = "rwm"

    @property
    def is_for_all(self) -> bool:
        """Whether the rule leaves nothing to those before it.

        See: runtime-spec v1.2.0 config-linux.md#allowed-device-list
        """
        return self.type == "a" and self.major is None and self.minor is None and set(self.access) == set("rwm")

    def v1(self) -> str:
        """The line that version 1's devices.allow and devices.deny take: ``c 1:3 rwm``.

        See: https://docs.kernel.org/admin-guide/cgroup-v1/devices.html
        """
        if self.type == "a" and self.major is None and self.minor is None:
            return "a"
        major = "*" if self.major is None else self.major
        minor = "*" if self.minor is None else self.minor
        return f"{self.type} {major}:{minor} {self.access}"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one cgroup; None leaves what is there. -1 means no limit.

    Units: bytes; `cpu_quota_usec` of every `cpu_period_usec`; `cpu_shares` 2 to 262144 (1024 is usual); `io_weight`
    10 to 1000. `memory_swap_bytes` counts memory and swap together, as version 1 and docker do. Of `devices` the last
    rule that matches decides, and what none matches is denied.
    """

    memory_bytes: int | None = None
    memory_reservation_bytes: int | None = None
    memory_swap_bytes: int | None = None
    cpu_quota_usec: int | None = None
    cpu_period_usec: int | None = None
    cpu_shares: int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    pids_max: int | None = None
    io_weight: int | None = None
    devices: tuple[DeviceRule, ...] = ()


def deciding(rules: Sequence[DeviceRule]) -> tuple[DeviceRule, ...]:
    """The rules that can still decide: from the last one that is for all devices, or from "deny all" if there is none.

    See: runtime-spec v1.2.0 config-linux.md#allowed-device-list
    """
    last = max((index for index, rule in enumerate(rules) if rule.is_for_all), default=None)
    return (DeviceRule(allow=False), *rules) if last is None else tuple(rules[last:])


def weight_of_shares(shares: int) -> int:
    """Version 1's cpu.shares (2 to 262144) as version 2's cpu.weight (1 to 10000), as runc and crun convert.

    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
    """
    return 1 + (max(2, min(shares, 262144)) - 2) * 9999 // 262142


def shares_of_weight(weight: int) -> int:
    """Version 2's cpu.weight as version 1's cpu.shares: the smallest that `weight_of_shares` makes this weight of.

    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
    """
    return 2 - (1 - max(1, min(weight, 10000))) * 262142 // 9999


def io_weight_of_blkio(weight: int) -> int:
    """Version 1's blkio weight (10 to 1000) as version 2's io.weight (1 to 10000), as runc converts.

    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files
    """
    return 1 + (weight - 10) * 9999 // 990


def blkio_of_io_weight(weight: int) -> int:
    """The inverse of `io_weight_of_blkio`.

    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files
    """
    return 10 - (1 - weight) * 990 // 9999


def v2_swap_bytes(memory_bytes: int, memory_swap_bytes: int) -> int:
    """Memory and swap together, as version 1 counts, to version 2's swap alone.

    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
    """
    return -1 if memory_swap_bytes == -1 else max(0, memory_swap_bytes - memory_bytes)
