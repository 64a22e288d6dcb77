"""Limits of a container: in its cgroup's files, as its processes feel them, and as runc would have set them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from labcontainer.engine import Container, Engine
from labcontainer.errors import HostError, InitError, UsageError
from labcontainer.kernel import cgroup
from labcontainer.kernel.cgroup import Limits
from labcontainer.kernel.overlay import Overlay
from labcontainer.oci.bundle import Bundle
from labcontainer.oci.runtime_spec import Spec
from tests.disks import Disk
from tests.kernel.conftest import eventually
from tests.needs import Needs

pytestmark = pytest.mark.usefixtures("needs_cgroups")

MIB = 1 << 20
# What both runtimes write, in the files of version 1 and of version 2.
FILES = (
    "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.swappiness",
    "memory.oom_control", "cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpuset.cpus", "cpuset.mems",
    "pids.max", "blkio.bfq.weight", "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device",
    "blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device",
    "memory.max", "memory.swap.max", "memory.low", "cpu.weight", "cpu.max", "io.max", "io.bfq.weight",
)  # fmt: skip
V2_FILES = ("memory.max", "memory.swap.max", "memory.low", "cpu.weight", "cpu.max", "io.max", "pids.max")


@pytest.mark.usefixtures("needs_root")
def test_every_limit_of_docker_stands_in_the_cgroup(engine: Engine, disk: Disk) -> None:
    path = str(disk.path)
    wanted = {
        "mem_limit": "64m", "memswap_limit": "96m", "mem_reservation": "32m", "nano_cpus": 500_000_000,
        "cpu_shares": 512, "pids_limit": 50,
        "device_read_bps": [f"{path}:1mb"], "device_write_bps": [{"Path": path, "Rate": 2 * MIB}],
        "device_read_iops": [f"{path}:100"], "device_write_iops": [f"{path}:200"],
    }  # fmt: skip
    with running(engine, **wanted) as container:
        found = cgroup.open(container.id).limits()
        assert (found.memory_bytes, found.memory_reservation_bytes) == (64 * MIB, 32 * MIB)
        assert found.memory_swap_bytes in (96 * MIB, None)
        assert (found.cpu_quota_usec, found.cpu_period_usec) == (50_000, 100_000)
        assert found.pids_max == 50
        rates = cgroup.IoLimit(disk.major, disk.minor, MIB, 2 * MIB, 100, 200)
        assert found.io_limits == (rates,)


@pytest.mark.usefixtures("needs_cpuset")
def test_a_set_of_cpus_is_where_its_processes_run(engine: Engine) -> None:
    with running(engine, cpuset_cpus="0", cpuset_mems="0") as container:
        found = cgroup.open(container.id).limits()
        assert (found.cpuset_cpus, found.cpuset_mems) == ("0", "0")
        assert b"Cpus_allowed_list:\t0\n" in (container.exec_run("cat /proc/self/status").output or b"")


def test_whom_to_kill_first_is_told_to_the_linux_kernel(engine: Engine) -> None:
    said = engine.containers.run("lab/base", "cat /proc/self/oom_score_adj", oom_score_adj=500, remove=True)
    assert said == b"500\n"


def test_a_score_that_would_need_privilege_is_refused_in_words(engine: Engine) -> None:
    try:
        said = engine.containers.run("lab/base", "cat /proc/self/oom_score_adj", oom_score_adj=-900, remove=True)
    except InitError as error:
        assert "without CAP_SYS_RESOURCE; to mend it: choose a higher" in error.cause  # noqa: PT017  as root is here
    else:
        assert said == b"-900\n"


def test_what_version_1_alone_can_do_is_done_or_refused_at_once(engine: Engine) -> None:
    settings = {"oom_kill_disable": True, "mem_swappiness": 10, "mem_limit": "64m"}
    if cgroup.host().version == "v2":
        with pytest.raises(HostError, match="version 2 has nothing of the kind"):
            engine.containers.create("lab/base", "true", **settings)
        return
    with running(engine, **settings) as container:
        found = cgroup.open(container.id).limits()
        assert (found.oom_kill_disable, found.memory_swappiness) == (True, 10)


@pytest.mark.parametrize("settings", [{"mem_limit": "1m"}, {"memswap_limit": "64m"}, {"cpuset_cpus": "4095"}])
def test_nothing_is_made_where_a_limit_is_refused(engine: Engine, settings: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        engine.containers.create("lab/base", "true", **settings)
    assert engine.containers.list(all=True) == []


@pytest.mark.usefixtures("needs_root")
def test_runc_sets_the_same_limits_from_the_same_config(
    engine: Engine, needs: Needs, tmp_path: Path, disk: Disk
) -> None:
    runc = needs("runc")
    settings = {
        "mem_limit": "64m", "memswap_limit": "96m", "mem_reservation": "32m", "cpu_quota": 30_000, "cpu_period": 60_000,
        "cpu_shares": 512, "pids_limit": 50,
        "device_read_bps": [f"{disk.path}:1mb"], "device_write_iops": [f"{disk.path}:200"],
    }  # fmt: skip
    if a_scheduler_knows_weights():
        settings["blkio_weight"] = 300
    if "cpuset" in cgroup.host().controllers:
        settings |= {"cpuset_cpus": "0", "cpuset_mems": "0"}
    if cgroup.host().version != "v2":
        settings |= {"mem_swappiness": 10, "oom_kill_disable": True}
    with running(engine, **settings) as container:
        ours = files_of(container.pid)
        # Version 2 has fewer files for the same, and no cpuset where the Linux kernel is for one CPU.
        assert len(ours) > 8 or set(V2_FILES) <= set(ours)
        with run_by_runc(engine, runc, container, tmp_path) as pid:
            assert files_of(pid) == ours


def a_scheduler_knows_weights() -> bool:
    """Whether a share of the disks' time can be given here: runc, too, fails where it cannot."""
    group = cgroup.create(f"weight-{os.getpid()}")
    try:
        group.set(Limits(io_weight=300))
    except HostError:
        return False
    finally:
        group.remove()
    return True


@contextmanager
def running(engine: Engine, **settings: object) -> Iterator[Container]:
    container = engine.containers.run("lab/base", "sleep 1000", detach=True, **settings)
    try:
        yield container
    finally:
        container.remove(force=True)


@contextmanager
def run_by_runc(engine: Engine, runc: Path, container: Container, scratch: Path) -> Iterator[int]:
    """The pid of the same container as runc starts it: the same config.json, but for the root it is given."""
    bundle = scratch / "bundle"
    for name in ("upper", "work", "bundle/rootfs"):
        (scratch / name).mkdir(parents=True)
    spec = Bundle(container.directory).read()
    assert spec.linux is not None
    name = f"lab-runc-{os.getpid()}"
    Bundle(bundle).write(renamed(spec, f"/labcontainer-runc/{name}"))
    layers = engine.snapshots.lowerdirs(engine.images.get("lab/base"), engine.store)
    overlay = Overlay(layers, scratch / "upper", scratch / "work")
    mount = ["mount", "-t", "overlay", "overlay", "-o", overlay.options(), str(bundle / "rootfs")]
    by_runc = [str(runc), "--root", str(scratch / "runc")]
    subprocess.run(mount, check=True)
    try:
        null = subprocess.DEVNULL
        subprocess.run([*by_runc, "run", "--detach", "-b", str(bundle), name], check=True, stdin=null, stdout=null)
        try:
            state = subprocess.run([*by_runc, "state", name], check=True, capture_output=True, text=True).stdout
            yield int(json.loads(state)["pid"])
        finally:
            subprocess.run([*by_runc, "delete", "--force", name], check=True)
    finally:
        subprocess.run(["umount", bundle / "rootfs"], check=True)
        for top in {each.target for each in cgroup.host().mounts.values()}:
            assert eventually(partial(gone, Path(f"{top}/labcontainer-runc")))


def gone(directory: Path) -> bool:
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False  # a process in it is just dying
    return True


def renamed(spec: Spec, cgroups_path: str) -> Spec:
    assert spec.linux is not None
    return replace(spec, linux=replace(spec.linux, cgroups_path=cgroups_path))


def files_of(pid: int) -> dict[str, str]:
    """The limits in the cgroups of process `pid`, by the names of their files."""
    found = {}
    host = cgroup.host()
    for row in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = row.split(":", 2)
        for controller in names.split(","):
            if controller in host.mounts:
                place = Path(f"{host.mounts[controller].target}{path}")
                found.update({name: (place / name).read_text() for name in FILES if (place / name).exists()})
    return found
