"""The specification's resources, as limits of a cgroup and as changes of others."""

from __future__ import annotations

import pytest

from labcontainer.errors import HostError, SpecError
from labcontainer.kernel.cgroup import DeviceRule, HugepageLimit, IoLimit, IoWeight, Limits, RdmaLimit
from labcontainer.oci import fields, resources
from labcontainer.oci.resources import BlockIo, Cpu, Memory, Pids, Resources, ThrottleDevice, WeightDevice
from labcontainer.runtime.resources import difference, limits, merged

WHOLE = fields.read(
    Resources,
    {
        "devices": [{"allow": False}, {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"}],
        "memory": {
            "limit": 100, "reservation": 50, "swap": 200, "kernel": -1, "kernelTCP": -1, "swappiness": 0,
            "disableOOMKiller": True, "useHierarchy": True, "checkBeforeUpdate": True,
        },
        "cpu": {
            "shares": 1024, "quota": 1000000, "burst": 100000, "period": 500000, "realtimeRuntime": 950000,
            "realtimePeriod": 1000000, "cpus": "2-3", "mems": "0-7", "idle": 0,
        },
        "pids": {"limit": 32771},
        "blockIO": {
            "weight": 10,
            "weightDevice": [{"major": 8, "minor": 0, "weight": 500}],
            "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 300}, {"major": 8, "minor": 16, "rate": 0}],
        },
        "hugepageLimits": [{"pageSize": "2MB", "limit": 209715200}],
        "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]},
        "rdma": {"mlx5_1": {"hcaHandles": 3}},
        "unified": {"memory.high": "1"},
    },
    "resources",
)  # fmt: skip


def test_every_resource_of_the_specification_is_a_limit() -> None:
    assert limits(WHOLE) == Limits(
        memory_bytes=100,
        memory_reservation_bytes=50,
        memory_swap_bytes=200,
        memory_swappiness=0,
        oom_kill_disable=True,
        check_before_update=True,
        cpu_quota_usec=1_000_000,
        cpu_period_usec=500_000,
        cpu_burst_usec=100_000,
        cpu_shares=1024,
        cpu_idle=False,
        cpu_realtime_runtime_usec=950_000,
        cpu_realtime_period_usec=1_000_000,
        cpuset_cpus="2-3",
        cpuset_mems="0-7",
        pids_max=32771,
        io_weight=10,
        io_weights=(IoWeight(8, 0, 500),),
        io_limits=(IoLimit(8, 0, read_bps=600, write_iops=300), IoLimit(8, 16, write_iops=-1)),
        hugepages=(HugepageLimit("2MB", 209715200),),
        rdma=(RdmaLimit("mlx5_1", hca_handles=3),),
        devices=(DeviceRule(allow=False), DeviceRule(True, "c", 1, 3, "r")),
        unified={"memory.high": "1"},
    )


def test_what_go_writes_for_nothing_is_no_limit() -> None:
    zeros = Resources(
        memory=Memory(limit=0, reservation=0, swap=0, swappiness=(1 << 64) - 1), cpu=Cpu(0, 0, None, 0, 0, 0, "", ""),
        pids=Pids(0), block_io=BlockIo(weight=0),
    )  # fmt: skip
    assert limits(zeros) == Limits()
    assert limits(Resources(pids=Pids(-1))) == Limits(pids_max=-1)


def test_what_no_linux_kernel_has_any_more_is_refused() -> None:
    for block_io in (BlockIo(leaf_weight=100), BlockIo(weight_device=(WeightDevice(8, 0, 10, 20),))):
        with pytest.raises(HostError, match="leafWeight"):
            limits(Resources(block_io=block_io))


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        (Resources(memory=Memory(swappiness=101)), r"r\.memory\.swappiness"),
        (Resources(block_io=BlockIo(weight_device=(WeightDevice(8, 0),))), r"r\.blockIO\.weightDevice\[0\]"),
        (Resources(rdma={"mlx": resources.Rdma()}), r"r\.rdma\.mlx"),
        (Resources(unified={"../x.y": "1"}), r"r\.unified"),
        (Resources(unified={"memory": "1"}), r"r\.unified"),
    ],
)
def test_what_breaks_the_specification_is_named(broken: Resources, where: str) -> None:
    with pytest.raises(SpecError, match=where):
        resources.check(broken, "r")


def test_a_change_leaves_what_it_does_not_name() -> None:
    current = Resources(
        devices=(resources.DeviceRule(allow=False),),
        memory=Memory(limit=64, swap=128),
        cpu=Cpu(shares=512),
        block_io=BlockIo(throttle_read_bps_device=(ThrottleDevice(8, 0, 1), ThrottleDevice(8, 16, 2))),
        unified={"memory.high": "1", "memory.min": "2"},
    )
    change = Resources(
        memory=Memory(limit=100),
        pids=Pids(9),
        block_io=BlockIo(throttle_read_bps_device=(ThrottleDevice(8, 16, 3),)),
        unified={"memory.high": "max"},
    )
    assert merged(current, change) == Resources(
        devices=(resources.DeviceRule(allow=False),),
        memory=Memory(limit=100, swap=128),
        cpu=Cpu(shares=512),
        pids=Pids(9),
        block_io=BlockIo(throttle_read_bps_device=(ThrottleDevice(8, 0, 1), ThrottleDevice(8, 16, 3))),
        unified={"memory.high": "max", "memory.min": "2"},
    )


def test_only_what_differs_is_written() -> None:
    was = Limits(memory_bytes=64, memory_swap_bytes=128, pids_max=5, devices=(DeviceRule(allow=False),))
    assert difference(was, was) == Limits()
    assert difference(was, Limits(memory_bytes=64, memory_swap_bytes=128, pids_max=6)) == Limits(pids_max=6)


def test_memory_and_swap_are_written_together() -> None:
    was = Limits(memory_bytes=64, memory_swap_bytes=128, cpu_quota_usec=10, cpu_period_usec=100)
    wanted = Limits(memory_bytes=100, memory_swap_bytes=128, cpu_quota_usec=10, cpu_period_usec=50)
    assert difference(was, wanted) == wanted


def test_a_check_is_asked_for_where_memory_changes() -> None:
    was, checked = Limits(memory_bytes=64), Limits(memory_bytes=64, check_before_update=True, pids_max=3)
    assert difference(was, checked) == Limits(pids_max=3)
    lower = Limits(memory_bytes=32, check_before_update=True)
    assert difference(was, lower) == lower
