"""What a container may use: ``linux.resources`` of the runtime specification.

{"memory": {"limit": 67108864, "swap": -1}, "cpu": {"quota": 50000, "period": 100000}, "pids": {"limit": 50},
 "blockIO": {"throttleWriteBpsDevice": [{"major": 254, "minor": 0, "rate": 1048576}]},
 "unified": {"memory.high": "33554432"}, …}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labcontainer.errors import SpecError


@dataclass(frozen=True, slots=True)
class DeviceRule:
    """Which devices may be used. See: runtime-spec v1.2.0 config-linux.md#allowed-device-list"""

    allow: bool
    type: str | None = None
    major: int | None = None
    minor: int | None = None
    access: str | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes, -1 for no limit; `swap` counts memory and swap together.
    See: runtime-spec v1.2.0 config-linux.md#memory"""

    limit: int | None = None
    reservation: int | None = None
    swap: int | None = None
    kernel: int | None = None
    kernel_tcp: int | None = field(default=None, metadata={"key": "kernelTCP"})
    swappiness: int | None = None
    disable_oom_killer: bool | None = field(default=None, metadata={"key": "disableOOMKiller"})
    use_hierarchy: bool | None = None
    check_before_update: bool | None = None


@dataclass(frozen=True, slots=True)
class Cpu:
    """Quota, burst and periods in microseconds. See: runtime-spec v1.2.0 config-linux.md#cpu"""

    shares: int | None = None
    quota: int | None = None
    burst: int | None = None
    period: int | None = None
    realtime_runtime: int | None = None
    realtime_period: int | None = None
    cpus: str | None = None
    mems: str | None = None
    idle: int | None = None


@dataclass(frozen=True, slots=True)
class Pids:
    """The most processes and threads. See: runtime-spec v1.2.0 config-linux.md#pids"""

    limit: int


@dataclass(frozen=True, slots=True)
class WeightDevice:
    """One disk's weight, 10 to 1000. See: runtime-spec v1.2.0 config-linux.md#block-io"""

    major: int
    minor: int
    weight: int | None = None
    leaf_weight: int | None = None


@dataclass(frozen=True, slots=True)
class ThrottleDevice:
    """The most bytes, or requests, of one disk in a second. See: runtime-spec v1.2.0 config-linux.md#block-io"""

    major: int
    minor: int
    rate: int


@dataclass(frozen=True, slots=True)
class BlockIo:
    """Weights and rates of disks. See: runtime-spec v1.2.0 config-linux.md#block-io"""

    weight: int | None = None
    leaf_weight: int | None = None
    weight_device: tuple[WeightDevice, ...] = ()
    throttle_read_bps_device: tuple[ThrottleDevice, ...] = ()
    throttle_write_bps_device: tuple[ThrottleDevice, ...] = ()
    throttle_read_iops_device: tuple[ThrottleDevice, ...] = field(
        default=(), metadata={"key": "throttleReadIOPSDevice"}
    )
    throttle_write_iops_device: tuple[ThrottleDevice, ...] = field(
        default=(), metadata={"key": "throttleWriteIOPSDevice"}
    )


@dataclass(frozen=True, slots=True)
class HugepageLimit:
    """Bytes of huge pages of one size (``2MB``). See: runtime-spec v1.2.0 config-linux.md#huge-page-limits"""

    page_size: str
    limit: int


@dataclass(frozen=True, slots=True)
class InterfacePriority:
    """A priority on one network interface. See: runtime-spec v1.2.0 config-linux.md#network"""

    name: str
    priority: int


@dataclass(frozen=True, slots=True)
class Network:
    """How packets are marked. See: runtime-spec v1.2.0 config-linux.md#network"""

    class_id: int | None = field(default=None, metadata={"key": "classID"})
    priorities: tuple[InterfacePriority, ...] = ()


@dataclass(frozen=True, slots=True)
class Rdma:
    """Handles and objects of one adapter. See: runtime-spec v1.2.0 config-linux.md#rdma"""

    hca_handles: int | None = None
    hca_objects: int | None = None


@dataclass(frozen=True, slots=True)
class Resources:
    """What the container's cgroup holds. See: runtime-spec v1.2.0 config-linux.md#control-groups"""

    devices: tuple[DeviceRule, ...] = ()
    memory: Memory | None = None
    cpu: Cpu | None = None
    pids: Pids | None = None
    block_io: BlockIo | None = field(default=None, metadata={"key": "blockIO"})
    hugepage_limits: tuple[HugepageLimit, ...] = ()
    network: Network | None = None
    rdma: Mapping[str, Rdma] = field(default_factory=dict)
    unified: Mapping[str, str] = field(default_factory=dict)


def check(resources: Resources, where: str) -> None:
    """What the specification asks for beyond the types; `where` begins the error.

    Raises: SpecError. See: runtime-spec v1.2.0 config-linux.md#control-groups
    """
    swappiness = resources.memory.swappiness if resources.memory else None
    # A runtime takes what C's "unset" is, too: podman writes -1 as a number without a sign.
    if swappiness is not None and not 0 <= swappiness <= 100 and swappiness not in (-1, (1 << 64) - 1):
        raise SpecError(f"{where}.memory.swappiness: {swappiness} is not between 0 and 100")
    for index, device in enumerate(resources.block_io.weight_device if resources.block_io else ()):
        if device.weight is None and device.leaf_weight is None:
            raise SpecError(f"{where}.blockIO.weightDevice[{index}]: it has neither weight nor leafWeight")
    for name, adapter in resources.rdma.items():
        if adapter.hca_handles is None and adapter.hca_objects is None:
            raise SpecError(f"{where}.rdma.{name}: it has neither hcaHandles nor hcaObjects")
    for name in resources.unified:
        if "/" in name or "." not in name:
            raise SpecError(f"{where}.unified: {name!r} is not the name of a file in a cgroup")
