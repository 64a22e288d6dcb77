"""Docker's limits: how they are read, what is refused, and what becomes of them in config.json."""

from __future__ import annotations

import os
from typing import Any

import pytest

from labcontainer.engine import limits
from labcontainer.engine.limits import Constraints
from labcontainer.engine.options import parse as parse_settings
from labcontainer.errors import UsageError
from labcontainer.oci.resources import Cpu, DeviceRule, Memory, Pids, Resources

MIB = 1 << 20


@pytest.mark.parametrize(
    ("text", "size"), [("64m", 64 << 20), ("1.5g", 3 << 29), (8 << 20, 8 << 20), ("8192k", 8 << 20), (-1, -1)]
)
def test_memory_is_read_as_docker_reads_it(text: str | int, size: int) -> None:
    assert limits.parse({"mem_limit": text}).mem_limit == size


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        *(({"mem_limit": text}, "memory") for text in ("", "64q", "-2", "lots", "1m", "5.9m", "900t", 0)),
        ({"mem_reservation": "1m"}, "memory-reservation"),
        ({"mem_limit": "64m", "mem_reservation": "65m"}, "memory-reservation"),
        ({"mem_limit": "64m", "memswap_limit": "63m"}, "memory-swap"),
        ({"mem_limit": "64m", "memswap_limit": "much"}, "memory-swap"),
        ({"memswap_limit": "64m"}, "memory-swap"),
        ({"mem_swappiness": 101}, "memory-swappiness"),
        ({"mem_swappiness": -2}, "memory-swappiness"),
        *(({"nano_cpus": count * 10**9}, "cpus") for count in (0, 0.001, 10_000, -2)),
        ({"nano_cpus": 10**9, "cpu_quota": 50_000}, "cpu-quota"),
        ({"nano_cpus": 10**9, "cpu_period": 50_000}, "cpu-period"),
        ({"cpu_period": 999}, "cpu-period"),
        ({"cpu_period": 1_000_001}, "cpu-period"),
        ({"cpu_quota": 999}, "cpu-quota"),
        ({"cpu_quota": 10**9}, "cpu-quota"),
        ({"cpu_quota": "fast"}, "cpu-quota"),
        ({"cpu_shares": 1}, "cpu-shares"),
        ({"cpu_shares": -5}, "cpu-shares"),
        ({"cpuset_cpus": "0-4095"}, "cpuset-cpus"),
        ({"cpuset_cpus": "first"}, "cpuset-cpus"),
        ({"cpuset_mems": "4095"}, "cpuset-mems"),
        *(({"pids_limit": count}, "pids-limit") for count in (0, -2, 1 << 40)),
        ({"blkio_weight": 9}, "blkio-weight"),
        ({"blkio_weight": 1001}, "blkio-weight"),
        ({"blkio_weight_device": ["/dev/null:100"]}, "blkio-weight-device"),
        ({"device_read_bps": ["/dev/null"]}, "device-read-bps"),
        ({"device_read_bps": ["/nowhere:1mb"]}, "device-read-bps"),
        ({"device_write_bps": [{"Path": "/dev/null", "Rate": 1}]}, "device-write-bps"),
        ({"device_write_iops": [{"Path": "/dev/null"}]}, "device-write-iops"),
        ({"oom_score_adj": 1001}, "oom-score-adj"),
        ({"oom_score_adj": -1001}, "oom-score-adj"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused_by_its_flag(given: dict[str, Any], parameter: str) -> None:
    with pytest.raises(UsageError) as caught:
        limits.parse(given)
    assert caught.value.parameter == parameter
    assert caught.value.reason


def test_a_refusal_shows_what_was_written() -> None:
    with pytest.raises(UsageError, match="memory-swap cannot be '63m'"):
        limits.parse({"mem_limit": "64m", "memswap_limit": "63m"})


def test_the_whole_machine_may_be_given() -> None:
    count = os.cpu_count() or 1
    assert limits.parse({"nano_cpus": count * 10**9}).nano_cpus == count * 10**9


@pytest.mark.parametrize(
    "given",
    [{}, {"mem_limit": None}, {"cpu_shares": 0}, {"cpu_quota": 0, "cpu_period": 0}, {"blkio_weight": 0},
     {"mem_swappiness": -1}, {"memswap_limit": 0}, {"cpuset_cpus": ""}, {"device_read_bps": []}],
)  # fmt: skip
def test_what_docker_writes_for_nothing_is_nothing(given: dict[str, Any]) -> None:
    assert limits.parse(given) == Constraints()
    assert limits.parse(given).resources() == Resources()


def test_constraints_are_resources_of_the_specification() -> None:
    constraints = limits.parse({
        "mem_limit": "64m", "mem_reservation": "32m", "nano_cpus": 500_000_000, "cpu_shares": 512,
        "cpuset_cpus": "0", "pids_limit": 50,
    })  # fmt: skip
    rules = (DeviceRule(allow=False, access="rwm"),)
    assert constraints.resources(rules) == Resources(
        devices=rules,
        # As much swap as memory, where nothing was said of it: docker's default.
        memory=Memory(limit=64 * MIB, reservation=32 * MIB, swap=128 * MIB),
        cpu=Cpu(shares=512, quota=50_000, period=100_000, cpus="0"),
        pids=Pids(50),
    )


@pytest.mark.parametrize(("swap", "together"), [(None, 128 * MIB), ("64m", 64 * MIB), (-1, -1), ("96m", 96 * MIB)])
def test_swap_counts_memory_too(swap: str | int | None, together: int) -> None:
    memory = limits.parse({"mem_limit": "64m", "memswap_limit": swap}).resources().memory
    assert memory is not None
    assert memory.swap == together


def test_a_quota_below_zero_is_no_quota() -> None:
    assert limits.parse({"cpu_quota": -50_000}).resources().cpu == Cpu(quota=-1)
    assert limits.parse({"nano_cpus": -1}).resources().cpu == Cpu(quota=-1, period=100_000)


def test_only_a_limit_needs_a_cgroup() -> None:
    for nothing in ({}, {"oom_score_adj": 500}, {"pids_limit": -1}, {"mem_limit": -1}, {"oom_kill_disable": False}):
        assert not limits.parse(nothing).need_cgroup
    something: tuple[dict[str, Any], ...] = ({"mem_limit": "64m"}, {"cpu_shares": 2}, {"pids_limit": 1})
    for given in something:
        assert limits.parse(given).need_cgroup


def test_limits_are_among_the_settings_of_a_container() -> None:
    chosen = parse_settings("true", {"mem_limit": "64m", "cpu_shares": 512, "oom_score_adj": 10})
    assert chosen.constraints == Constraints(mem_limit=64 * MIB, cpu_shares=512, oom_score_adj=10)


def test_flags_and_keywords_are_docker_s() -> None:
    assert [limits.flag(name) for name in limits.NAMES] == [
        "memory", "memory-swap", "memory-reservation", "memory-swappiness", "oom-kill-disable", "oom-score-adj", "cpus",
        "cpu-quota", "cpu-period", "cpu-shares", "cpuset-cpus", "cpuset-mems", "pids-limit", "blkio-weight",
        "blkio-weight-device", "device-read-bps", "device-write-bps", "device-read-iops", "device-write-iops",
    ]  # fmt: skip
