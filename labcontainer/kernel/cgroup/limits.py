"""What a cgroup may be told: limits as data, the same for both versions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

# The Linux kernel's "no limit" is in some files the largest number of pages that fits, and in bytes beyond this.
NO_LIMIT = 1 << 62


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
class IoWeight:
    """A share of one disk's time, 10 to 1000, against those of the cgroups beside this one."""

    major: int
    minor: int
    weight: int


@dataclass(frozen=True, slots=True)
class IoLimit:
    """How much of one disk may be used in a second: bytes (`bps`) and requests (`iops`)."""

    major: int
    minor: int
    read_bps: int | None = None
    write_bps: int | None = None
    read_iops: int | None = None
    write_iops: int | None = None


@dataclass(frozen=True, slots=True)
class HugepageLimit:
    """Bytes of huge pages of one size, written as the Linux kernel does: ``2MB``, ``1GB``."""

    page_size: str
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class RdmaLimit:
    """Handles and objects of one RDMA adapter."""

    device: str
    hca_handles: int | None = None
    hca_objects: int | None = None

    def line(self) -> str:
        """The line that rdma.max takes: ``mlx4_0 hca_handle=2 hca_object=max``.

        See: https://docs.kernel.org/admin-guide/cgroup-v1/rdma.html
        """
        told = (("hca_handle", self.hca_handles), ("hca_object", self.hca_objects))
        words = [f"{key}={'max' if value == -1 else value}" for key, value in told if value is not None]
        return " ".join([self.device, *words])


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one cgroup; None, or nothing in a collection, leaves what is there. -1 means no limit.

    Units: bytes; `cpu_quota_usec` of every `cpu_period_usec`, and `cpu_burst_usec` saved from periods before;
    `cpu_shares` 2 to 262144 (1024 is usual); `io_weight` 10 to 1000. `memory_swap_bytes` counts memory and swap
    together, as version 1 and docker do. Of `devices` the last rule that matches decides, and what none matches is
    denied. `unified` are files of version 2 with their content. With `check_before_update` a memory limit below what
    is used is refused, as version 1 always does; without, version 2 kills.
    """

    memory_bytes: int | None = None
    memory_reservation_bytes: int | None = None
    memory_swap_bytes: int | None = None
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    check_before_update: bool | None = None
    cpu_quota_usec: int | None = None
    cpu_period_usec: int | None = None
    cpu_burst_usec: int | None = None
    cpu_shares: int | None = None
    cpu_idle: bool | None = None
    cpu_realtime_runtime_usec: int | None = None
    cpu_realtime_period_usec: int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    pids_max: int | None = None
    io_weight: int | None = None
    io_weights: tuple[IoWeight, ...] = ()
    io_limits: tuple[IoLimit, ...] = ()
    hugepages: tuple[HugepageLimit, ...] = ()
    rdma: tuple[RdmaLimit, ...] = ()
    devices: tuple[DeviceRule, ...] = ()
    unified: Mapping[str, str] = field(default_factory=dict)

    def given(self) -> dict[str, object]:
        """What is told at all, by its name. See: man 7 cgroups"""
        told = ((one.name, getattr(self, one.name)) for one in fields(self))
        return {name: value for name, value in told if value is not None and value != () and value != {}}

    def split(self, controllers: Collection[str]) -> tuple[Limits, Limits]:
        """What these controllers hold, and the rest. See: man 7 cgroups"""
        told = self.given()
        theirs = {name: value for name, value in told.items() if controller(name) in controllers}
        rest = {name: value for name, value in told.items() if name not in theirs}
        return replace(Limits(), **theirs), replace(Limits(), **rest)  # type: ignore[arg-type]


# By the beginning of a limit's name, the controller that holds it, by version 1's name; version 2 calls blkio "io".
_CONTROLLERS = {
    "memory": "memory",
    "oom": "memory",
    "check": "memory",
    "cpu": "cpu",
    "cpuset": "cpuset",
    "pids": "pids",
    "io": "blkio",
    "hugepages": "hugetlb",
    "rdma": "rdma",
    "devices": "devices",
}


def controller(limit: str) -> str:
    """Which controller holds the limit of that name; empty for version 2's own files. See: man 7 cgroups"""
    return _CONTROLLERS.get(limit.partition("_")[0], "")


def deciding(rules: Sequence[DeviceRule]) -> tuple[DeviceRule, ...]:
    """The rules that can still decide: from the last one that is for all devices, or from "deny all" if there is none.

    See: runtime-spec v1.2.0 config-linux.md#allowed-device-list
    """
    last = max((index for index, rule in enumerate(rules) if rule.is_for_all), default=None)
    return (DeviceRule(allow=False), *rules) if last is None else tuple(rules[last:])


def rdma_limits(text: str) -> tuple[RdmaLimit, ...]:
    """The adapters that rdma.max limits: the inverse of `RdmaLimit.line`.

    See: https://docs.kernel.org/admin-guide/cgroup-v1/rdma.html
    """
    found = []
    for device, *words in filter(None, map(str.split, text.splitlines())):
        told = {key: int(value) for key, _, value in (word.partition("=") for word in words) if value != "max"}
        if told:
            found.append(RdmaLimit(device, told.get("hca_handle", -1), told.get("hca_object", -1)))
    return tuple(found)
