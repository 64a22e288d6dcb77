"""From samples to a table, as docker reckons."""

from __future__ import annotations

from typing import Any

import pytest

from labcontainer.cli.stats import LISTING, row
from labcontainer.cli.units import binary_size
from labcontainer.engine import stats

MIB = 1 << 20
ID = "0123456789abcdef"


def document(used_ns: int, machine_ns: int, **changed: Any) -> dict[str, Any]:
    cpu = {"cpu_usage": {"total_usage": used_ns}, "system_cpu_usage": machine_ns, "online_cpus": 2}
    whole: dict[str, Any] = {
        "read": "r", "cpu_stats": cpu, "precpu_stats": {"cpu_usage": {"total_usage": 0}}, "name": "/quiet_reef",
        "memory_stats": {"usage": 48 * MIB, "limit": 64 * MIB, "stats": {"total_inactive_file": 16 * MIB}},
        "pids_stats": {"current": 3, "limit": 50},
        "networks": {"eth0": {"rx_bytes": 1500, "tx_bytes": 10}, "eth1": {"rx_bytes": 500, "tx_bytes": 0}},
        "blkio_stats": {"io_service_bytes_recursive": [
            {"major": 8, "minor": 0, "op": "read", "value": 4096}, {"major": 8, "minor": 0, "op": "write", "value": 1},
            {"major": 7, "minor": 0, "op": "read", "value": 4096},
        ]},
    }  # fmt: skip
    return {**whole, **changed}


def test_a_row_is_what_docker_shows() -> None:
    # Half a second of one CPU, in a second of two.
    before, now = document(10**9, 10**10), document(15 * 10**8, 12 * 10**9)
    assert row("asked", ID[:12], now, before) == {
        "Container": "asked",
        "ID": "0123456789ab",
        "Name": "quiet_reef",
        "CPUPerc": "50.00%",
        "MemUsage": "32MiB / 64MiB",
        "MemPerc": "50.00%",
        "NetIO": "2kB / 10B",
        "BlockIO": "8.19kB / 1B",
        "PIDs": "3",
    }


def test_per_cent_needs_a_sample_before() -> None:
    now = document(10**9, 10**10)
    assert stats.cpu_percent(now) is None
    assert row("x", ID, now, None)["CPUPerc"] == "--"


def test_what_nobody_counts_is_two_hyphens() -> None:
    unknown = document(0, 0, blkio_stats={"io_service_bytes_recursive": None})
    assert row("x", ID, unknown, None)["BlockIO"] == "--"


def test_a_container_that_does_not_run_uses_nothing() -> None:
    nothing: dict[str, Any] = {"memory_stats": {}, "pids_stats": {}, "blkio_stats": {}, "networks": {}}
    found = row("x", ID, document(0, 0, **nothing), None)
    assert [found[name] for name in ("CPUPerc", "MemUsage", "MemPerc", "BlockIO", "PIDs")] == [
        "0.00%", "0B / 0B", "0.00%", "0B / 0B", "0",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["total_inactive_file", "inactive_file"])
def test_cache_that_is_given_up_first_is_not_shown_in_either_version(name: str) -> None:
    memory = {"usage": 48 * MIB, "limit": 64 * MIB, "stats": {name: 16 * MIB}}
    assert stats.memory_bytes(document(0, 0, memory_stats=memory)) == 32 * MIB
    odd = {**memory, "stats": {name: 49 * MIB}}  # counted at another moment than the usage
    assert stats.memory_bytes(document(0, 0, memory_stats=odd)) == 48 * MIB


def test_every_column_of_the_table_is_a_field() -> None:
    assert set(row("x", ID, document(0, 0), None)) == set(LISTING.heads)


def test_memory_is_told_in_powers_of_1024() -> None:
    assert [binary_size(size) for size in (0, 1023, 1024, 1536 * 1024, 64 * MIB, 25 << 30)] == [
        "0B", "1023B", "1KiB", "1.5MiB", "64MiB", "25GiB",
    ]  # fmt: skip
