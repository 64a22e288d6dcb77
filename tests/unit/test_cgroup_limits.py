"""Limits as data: what is refused before the Linux kernel sees it, and how one version's words become the other's."""

from __future__ import annotations

import pytest

from labcontainer.errors import UsageError
from labcontainer.kernel.cgroup import DeviceRule, HugepageLimit, IoLimit, IoWeight, Limits, Machine, RdmaLimit, check
from labcontainer.kernel.cgroup.check import numbers
from labcontainer.kernel.cgroup.convert import (
    blkio_of_io_weight,
    io_weight_of_blkio,
    shares_of_weight,
    v2_swap_bytes,
    weight_of_shares,
)
from labcontainer.kernel.cgroup.limits import controller, deciding, rdma_limits

TWO_CPUS = Machine(cpus=frozenset({0, 1}), mems=frozenset({0}), memory_bytes=1 << 30)
MIB = 1 << 20


@pytest.mark.parametrize(
    ("limits", "parameter"),
    [
        (Limits(memory_bytes=4 * MIB), "memory_bytes"),
        (Limits(memory_bytes=0), "memory_bytes"),
        (Limits(memory_bytes=64 * MIB, memory_reservation_bytes=65 * MIB), "memory_reservation_bytes"),
        (Limits(memory_swap_bytes=64 * MIB), "memory_swap_bytes"),
        (Limits(memory_bytes=64 * MIB, memory_swap_bytes=63 * MIB), "memory_swap_bytes"),
        (Limits(memory_bytes=-1, memory_swap_bytes=63 * MIB), "memory_swap_bytes"),
        (Limits(cpu_quota_usec=200_001), "cpu_quota_usec"),
        (Limits(cpu_quota_usec=999), "cpu_quota_usec"),
        (Limits(cpu_period_usec=1_000_001), "cpu_period_usec"),
        (Limits(cpu_period_usec=-1), "cpu_period_usec"),
        (Limits(cpu_shares=1), "cpu_shares"),
        (Limits(cpu_shares=262_145), "cpu_shares"),
        (Limits(pids_max=0), "pids_max"),
        (Limits(pids_max=-2), "pids_max"),
        (Limits(cpuset_cpus="0-2"), "cpuset_cpus"),
        (Limits(cpuset_cpus="one"), "cpuset_cpus"),
        (Limits(cpuset_cpus="1-0"), "cpuset_cpus"),
        (Limits(cpuset_cpus="0-4000000000"), "cpuset_cpus"),
        (Limits(cpuset_cpus=""), "cpuset_cpus"),
        (Limits(cpuset_mems="1"), "cpuset_mems"),
        (Limits(io_weight=9), "io_weight"),
        (Limits(io_weight=1001), "io_weight"),
        (Limits(io_weights=(IoWeight(8, 0, 5),)), "io_weight of 8:0"),
        (Limits(io_limits=(IoLimit(8, 0, write_bps=0),)), "write_bps of 8:0"),
        (Limits(memory_swappiness=101), "memory_swappiness"),
        (Limits(cpu_quota_usec=50_000, cpu_burst_usec=50_001), "cpu_burst_usec"),
        (Limits(cpu_realtime_runtime_usec=2000, cpu_realtime_period_usec=1000), "cpu_realtime_runtime_usec"),
        (Limits(devices=(DeviceRule(allow=True, type="p"),)), "device rule's type"),
        (Limits(devices=(DeviceRule(allow=True, access="rx"),)), "device rule's access"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused_by_its_name(limits: Limits, parameter: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(limits, TWO_CPUS)
    assert caught.value.parameter == parameter


@pytest.mark.parametrize(
    "limits",
    [
        Limits(),
        Limits(memory_bytes=-1, memory_swap_bytes=-1, pids_max=-1, cpu_quota_usec=-1),
        Limits(memory_bytes=6 * MIB, memory_reservation_bytes=6 * MIB, memory_swap_bytes=6 * MIB),
        Limits(cpu_quota_usec=200_000, cpu_shares=2, cpuset_cpus="0-1", cpuset_mems="0", io_weight=10, pids_max=1),
        Limits(cpu_quota_usec=100_000, cpu_period_usec=50_000),
    ],
)
def test_a_limit_at_its_bound_is_accepted(limits: Limits) -> None:
    check(limits, TWO_CPUS)


def test_more_cpus_than_there_are_is_said_in_cpus() -> None:
    with pytest.raises(UsageError, match=r"2\.5 CPUs are asked for, and this machine has 2"):
        check(Limits(cpu_quota_usec=250_000), TWO_CPUS)


def test_a_list_of_cpus_is_numbers_and_ranges() -> None:
    assert numbers("0-2,5\n") == {0, 1, 2, 5}
    assert numbers("") == frozenset()


def test_weights_come_back_as_they_went() -> None:
    assert all(weight_of_shares(shares_of_weight(weight)) == weight for weight in range(1, 10001))
    assert all(blkio_of_io_weight(io_weight_of_blkio(weight)) == weight for weight in range(10, 1001))
    assert (io_weight_of_blkio(10), io_weight_of_blkio(1000)) == (1, 10000)


def test_rules_before_one_for_all_devices_decide_nothing() -> None:
    null, zero = DeviceRule(allow=True, type="c", major=1, minor=3), DeviceRule(allow=True, type="c", major=1, minor=5)
    deny_all, allow_all = DeviceRule(allow=False), DeviceRule(allow=True)
    assert deciding([allow_all, null, deny_all, zero]) == (deny_all, zero)
    assert deciding([null]) == (deny_all, null)
    assert deciding([deny_all, null, allow_all]) == (allow_all,)


def test_every_limit_has_a_controller() -> None:
    known = {"memory", "cpu", "cpuset", "pids", "blkio", "hugetlb", "rdma", "devices"}
    assert {name: controller(name) for name in Limits.__slots__ if controller(name) not in known} == {"unified": ""}


def test_limits_are_split_by_who_holds_them() -> None:
    both = Limits(
        memory_bytes=64 * MIB, oom_kill_disable=False, hugepages=(HugepageLimit("2MB", 0),), unified={"a.b": "1"}
    )
    memory, rest = both.split({"memory", "cpu"})
    assert memory == Limits(memory_bytes=64 * MIB, oom_kill_disable=False)
    assert rest == Limits(hugepages=(HugepageLimit("2MB", 0),), unified={"a.b": "1"})


def test_an_rdma_adapter_is_a_line() -> None:
    adapter = RdmaLimit("mlx4_0", hca_handles=2, hca_objects=-1)
    assert adapter.line() == "mlx4_0 hca_handle=2 hca_object=max"
    text = "mlx4_0 hca_handle=2 hca_object=max\nocrdma1 hca_handle=max hca_object=max\n"
    assert rdma_limits(text) == (adapter,)


def test_swap_without_a_memory_limit_says_nothing() -> None:
    assert v2_swap_bytes(-1, -1) == -1
    for memory, together in ((-1, 64), (64, 63)):
        with pytest.raises(UsageError, match="needs a memory limit"):
            v2_swap_bytes(memory, together)
