"""Other limits for a container that runs, and the numbers of what it uses."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from labcontainer.engine import Container, Engine
from labcontainer.errors import HostError, KernelError, NotFound, UsageError
from labcontainer.kernel import cgroup
from labcontainer.oci.bundle import Bundle
from labcontainer.oci.resources import Cpu, Memory
from labcontainer.runtime import state
from labcontainer.runtime.request import Restart
from tests.disks import Disk
from tests.e2e.test_limits import files_of, run_by_runc
from tests.kernel.conftest import eventually
from tests.needs import Needs

pytestmark = pytest.mark.usefixtures("needs_cgroups")

MIB = 1 << 20
HOLDS = "import time; kept = bytearray(b'x' * (48 << 20)); print('holds', flush=True); time.sleep(1000)"


@pytest.fixture
def container(engine: Engine) -> Iterator[Container]:
    made = engine.containers.run("lab/base", "sleep 1000", detach=True, mem_limit="64m", nano_cpus=500_000_000)
    yield made
    with contextlib.suppress(NotFound):
        made.remove(force=True)


def resources_of(container: Container) -> tuple[Memory | None, Cpu | None]:
    linux = Bundle(container.directory).read().linux
    assert linux is not None
    assert linux.resources is not None
    return linux.resources.memory, linux.resources.cpu


def test_new_limits_hold_at_once_and_at_the_next_start(container: Container) -> None:
    cpus = "0" if "cpuset" in cgroup.host().controllers else None
    container.update(mem_limit="128m", cpu_shares=512, pids_limit=30, **({"cpuset_cpus": cpus} if cpus else {}))
    for _ in range(2):
        found = cgroup.open(container.id).limits()
        assert (found.memory_bytes, found.pids_max, found.cpuset_cpus or None) == (128 * MIB, 30, cpus)
        assert found.memory_swap_bytes in (256 * MIB, None)  # as it was not asked for, it follows the memory
        assert (found.cpu_quota_usec, found.cpu_period_usec) == (50_000, 100_000)  # not named, so left alone
        container.restart(timeout=0)
    assert container.record.settings["mem_limit"] == "128m"
    assert resources_of(container) == (
        Memory(limit=128 * MIB, swap=256 * MIB),
        Cpu(shares=512, quota=50_000, period=100_000, cpus=cpus),
    )


def test_a_limit_can_be_taken_away(container: Container) -> None:
    container.update(mem_limit=-1, nano_cpus=-1, pids_limit=-1)
    found = cgroup.open(container.id).limits()
    assert (found.memory_bytes, found.cpu_quota_usec, found.pids_max) == (-1, -1, -1)


def test_a_stopped_container_gets_its_limits_when_it_starts(container: Container) -> None:
    container.stop(timeout=0)
    container.update(mem_limit="32m")
    container.start()
    assert cgroup.open(container.id).limits().memory_bytes == 32 * MIB


@pytest.mark.parametrize(
    "settings",
    [
        {"mem_limit": "1m"},
        {"memswap_limit": "32m"},  # below the memory that was asked for before
        {"cpu_quota": 10_000},  # --cpus set the quota before
        {"cpuset_cpus": "4095"},
        {"oom_score_adj": 5},
    ],
)
def test_what_makes_no_sense_with_what_stands_changes_nothing(container: Container, settings: dict[str, str]) -> None:
    before = (files_of(container.pid), resources_of(container), asdict(container.record))
    with pytest.raises(UsageError):
        container.update(**settings)
    assert (files_of(container.pid), resources_of(container), asdict(container.record)) == before


def test_a_setting_that_is_none_of_the_limits_is_named(container: Container) -> None:
    with pytest.raises(TypeError, match="hostname"):
        container.update(hostname="other")


def test_memory_that_is_in_use_is_not_taken_away(engine: Engine) -> None:
    holder = engine.containers.run("lab/python", ["python3", "-c", HOLDS], detach=True, mem_limit="256m")
    try:
        assert eventually(lambda: b"holds" in holder.logs())
        before = (files_of(holder.pid), resources_of(holder))
        with pytest.raises(KernelError, match="MiB are in use"):
            holder.update(mem_limit="16m", pids_limit=40)
        assert (files_of(holder.pid), resources_of(holder)) == before
        assert holder.status == "running"
    finally:
        holder.remove(force=True)


@pytest.mark.usefixtures("needs_root")
def test_rates_of_two_disks_do_not_meet(container: Container, disk: Disk) -> None:
    container.update(device_write_bps=[f"{disk.path}:1mb"])
    container.update(device_read_iops=[{"Path": str(disk.path), "Rate": 50}])
    container.update(device_write_bps=[f"{disk.path}:3mb"])
    assert cgroup.open(container.id).limits().io_limits == (
        cgroup.IoLimit(disk.major, disk.minor, -1, 3 * MIB, 50, -1),
    )


def test_a_restart_policy_can_be_given_while_it_runs(container: Container) -> None:
    from labcontainer.engine import record

    container.update(restart_policy={"Name": "on-failure", "MaximumRetryCount": 1})
    assert record.read_request(container.directory).restart == Restart("on-failure", 1)
    container.exec_run("kill -9 1")  # PID 1 takes no SIGKILL from inside: nothing happens
    first = container.pid
    subprocess.run(["kill", "-9", str(first)], check=True)
    assert eventually(lambda: container.pid not in (0, first))
    assert container.state.restarts == 1


@pytest.mark.usefixtures("needs_root")
def test_an_update_is_runc_s(engine: Engine, container: Container, needs: Needs, tmp_path: Path) -> None:
    runc = needs("runc")
    change = {"memory": {"limit": 100 * MIB, "swap": 150 * MIB, "reservation": 50 * MIB},
              "cpu": {"shares": 2048, "quota": 20_000, "period": 50_000}, "pids": {"limit": 77}}  # fmt: skip
    with run_by_runc(engine, runc, container, tmp_path) as pid:
        name = Path(f"/proc/{pid}/cgroup").read_text().splitlines()[0].rpartition("/")[2]
        by_runc = [str(runc), "--root", str(tmp_path / "runc"), "update", "-r", "-", name]
        subprocess.run(by_runc, input=json.dumps(change), text=True, check=True)
        container.update(
            mem_limit=100 * MIB, memswap_limit=150 * MIB, mem_reservation=50 * MIB, cpu_shares=2048, pids_limit=77,
        )  # fmt: skip
        container.update(nano_cpus=400_000_000)
        ours, theirs = files_of(container.pid), files_of(pid)
        quotas = {"cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.max"}  # the same share of a CPU, by another period
        assert {name: ours[name] for name in ours if name not in quotas} == {
            name: theirs[name] for name in ours if name not in quotas
        }


def test_numbers_are_in_docker_s_shape(container: Container) -> None:
    document = container.stats(stream=False)
    assert document["id"] == container.id
    assert document["name"] == f"/{container.name}"
    assert document["preread"] < document["read"]
    assert document["memory_stats"]["limit"] == 64 * MIB
    assert 0 < document["memory_stats"]["usage"] < 64 * MIB
    assert document["pids_stats"] == {"current": 1, "limit": None}
    for when in ("cpu_stats", "precpu_stats"):
        assert document[when]["cpu_usage"]["total_usage"] > 0
    assert document["cpu_stats"]["system_cpu_usage"] > document["precpu_stats"]["system_cpu_usage"]
    assert document["cpu_stats"]["throttling_data"]["periods"] >= 0
    json.dumps(document)


def test_numbers_come_until_the_container_is_removed(container: Container) -> None:
    found = container.stats()
    first = next(found)
    second = next(found)
    assert second["precpu_stats"] == first["cpu_stats"]
    container.remove(force=True)
    assert all(each["memory_stats"] == {} for each in found)  # and the iteration ends


def test_a_container_that_does_not_run_uses_nothing(container: Container) -> None:
    container.stop(timeout=0)
    document = container.stats(stream=False)
    assert document["read"] == "0001-01-01T00:00:00Z"
    assert document["memory_stats"] == {}


def lab(engine: Engine, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``lab`` with this engine's directories."""
    places = {"LABCONTAINER_ROOT": str(engine.root), "LABCONTAINER_RUN": str(engine.run)}
    command = [sys.executable, "-m", "labcontainer.cli", *arguments]
    return subprocess.run(command, env={**os.environ, **places}, capture_output=True, text=True, check=False)


def test_lab_update_says_whom_it_has_changed(engine: Engine, container: Container) -> None:
    done = lab(engine, "update", "--memory", "96m", "--memory-swap", "-1", "-c", "300", container.name)
    assert (done.stdout, done.stderr, done.returncode) == (f"{container.name}\n", "", 0)
    assert cgroup.open(container.id).limits().memory_bytes == 96 * MIB
    refused = lab(engine, "update", "-m", "1m", container.name)
    assert refused.returncode == 1
    assert "lab: memory cannot be '1m': the least that a container can start with is 6m" in refused.stderr
    assert "say what is to be changed" in lab(engine, "update", container.name).stderr


def test_lab_stats_is_docker_s_table(engine: Engine, container: Container) -> None:
    done = lab(engine, "stats", "--no-stream")
    heads, row = done.stdout.splitlines()
    for head in ("CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"):
        assert head in heads
    cells = row.split("   ")
    assert row.startswith(container.short_id)
    assert container.name in cells
    assert "/ 64MiB" in row
    assert "%" in row


def test_lab_stats_takes_names_templates_and_those_that_do_not_run(engine: Engine, container: Container) -> None:
    form = "{{.Container}} {{.PIDs}}"
    done = lab(engine, "stats", "--no-stream", "--format", form, container.name)
    assert done.stdout == f"{container.name} 1\n"
    whole = lab(engine, "stats", "--no-stream", "--no-trunc", "--format", "json")
    assert json.loads(whole.stdout)["ID"] == container.id
    container.stop(timeout=0)
    assert lab(engine, "stats", "--no-stream", "--format", form).stdout.strip() == ""
    assert lab(engine, "stats", "-a", "--no-stream", "--format", form).stdout == f"{container.short_id} 0\n"


def test_numbers_of_a_container_without_a_cgroup_are_unknown(engine: Engine, container: Container) -> None:
    # As if it had been made before anything was delegated.
    now = container.state
    state.save(container.directory, replace(now, cgroup=None))
    try:
        with pytest.raises(HostError, match="made without a cgroup"):
            container.stats(stream=False)
        row = lab(engine, "stats", "--no-stream").stdout.splitlines()[1]
        assert container.name in row
        assert "--" in row
    finally:
        state.save(container.directory, now)
