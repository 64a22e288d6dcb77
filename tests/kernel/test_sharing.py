"""Namespaces that a container shares with the host, or with another container: /proc/self/ns tells."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from labcontainer.errors import InitError, UsageError
from labcontainer.kernel import cgroup
from tests.kernel.conftest import eventually

if TYPE_CHECKING:
    from labcontainer.engine import Engine
    from labcontainer.engine.container import Container


def sh(lab: Engine, script: str, **options: Any) -> str:
    output: bytes = lab.containers.run("lab/base", ["sh", "-c", script], remove=True, **options)
    return output.decode().strip()


def inode(pid: int | str, name: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{name}")


@pytest.fixture
def donor(lab: Engine) -> Iterator[Container]:
    found = lab.containers.run("lab/base", ["sleep", "600"], detach=True, ipc_mode="shareable", hostname="donor")
    yield found
    found.remove(force=True)


@pytest.mark.usefixtures("needs_cgroups")
@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"pid_mode": "host"}, "pid"),
        ({"ipc_mode": "host"}, "ipc"),
        ({"uts_mode": "host"}, "uts"),
        ({"network_mode": "host"}, "net"),
        ({"cgroupns": "host"}, "cgroup"),
    ],
)
def test_a_namespace_of_the_hosts_is_shared_and_the_others_are_not(
    lab: Engine, options: dict[str, Any], name: str
) -> None:
    names = ("pid", "ipc", "uts", "net", "cgroup", "mnt")
    said = sh(lab, f"for n in {' '.join(names)}; do readlink /proc/self/ns/$n; done", **options).split()
    same = {each for each, link in zip(names, said, strict=True) if link == inode("self", each)}
    assert same == {name}


@pytest.mark.usefixtures("needs_cgroups")
def test_in_the_hosts_pid_namespace_its_processes_are_seen_and_its_own_end_with_it(lab: Engine) -> None:
    container = lab.containers.run("lab/base", ["sh", "-c", "sleep 600 & sleep 600"], detach=True, pid_mode="host")
    assert container.exec_run(["sh", "-c", f"cat /proc/{os.getpid()}/comm"]).exit_code == 0
    pids = [int(row[1]) for row in container.top()["Processes"]]
    container.kill()
    container.wait(timeout=30)
    assert [pid for pid in pids if os.path.exists(f"/proc/{pid}")] == []
    container.remove()


@pytest.mark.usefixtures("needs_ordinary_user")
def test_another_container_of_an_ordinary_user_cannot_be_joined(lab: Engine, donor: Container) -> None:
    with pytest.raises(UsageError, match="run both as root"):
        lab.containers.create("lab/base", ["true"], pid_mode=f"container:{donor.name}")


@pytest.mark.usefixtures("needs_root")
def test_another_containers_namespaces_are_joined(lab: Engine, donor: Container) -> None:
    other = dict.fromkeys(("pid_mode", "ipc_mode", "network_mode"), f"container:{donor.name}")
    container = lab.containers.run("lab/base", ["sleep", "600"], detach=True, **other)
    same = {
        name for name in ("pid", "ipc", "net", "uts", "mnt") if inode(container.pid, name) == inode(donor.pid, name)
    }
    assert same == {"pid", "ipc", "net"}
    donor.exec_run(["sh", "-c", "echo shared > /dev/shm/file"])
    assert container.exec_run(["cat", "/dev/shm/file"]).output == b"shared\n"
    assert container.exec_run(["cat", "/proc/1/comm"]).output == b"sleep\n"
    assert container.attrs["HostConfig"]["PidMode"] == other["pid_mode"]
    container.remove(force=True)
    assert donor.status == "running"


@pytest.mark.usefixtures("needs_root")
def test_the_other_containers_next_init_is_found(lab: Engine, donor: Container) -> None:
    container = lab.containers.create("lab/base", ["sleep", "600"], ipc_mode=f"container:{donor.id}")
    donor.restart(timeout=0)
    container.start()
    assert inode(container.pid, "ipc") == inode(donor.pid, "ipc")
    container.stop(timeout=0)
    donor.stop(timeout=0)
    with pytest.raises(InitError, match="does not run"):
        container.start()
    container.remove(force=True)


@pytest.mark.usefixtures("needs_root")
def test_a_health_check_runs_where_the_container_is_when_it_shares_anothers_processes(
    lab: Engine, donor: Container
) -> None:
    check = {"test": ["CMD-SHELL", "cat /proc/1/comm"], "interval": 50_000_000, "retries": 1}
    container = lab.containers.run(
        "lab/base", ["sleep", "600"], detach=True, pid_mode=f"container:{donor.id}", healthcheck=check
    )
    assert eventually(lambda: bool(container.attrs["State"]["Health"]["Log"]))
    result = container.attrs["State"]["Health"]["Log"][0]
    container.remove(force=True)
    assert (result["ExitCode"], result["Output"]) == (0, "sleep\n")


@pytest.mark.usefixtures("needs_root")
def test_only_shareable_ipc_is_shared(lab: Engine) -> None:
    private = lab.containers.run("lab/base", ["sleep", "600"], detach=True)
    with pytest.raises(UsageError, match="shareable"):
        lab.containers.create("lab/base", ["true"], ipc_mode=f"container:{private.id}")
    private.remove(force=True)


def test_without_ipc_there_is_no_shared_memory(lab: Engine) -> None:
    assert sh(lab, "grep -c ' /dev/shm ' /proc/self/mountinfo; :", ipc_mode="none") == "0"


@pytest.mark.parametrize(
    "options",
    [{"pid_mode": "foo"}, {"ipc_mode": "foo"}, {"uts_mode": "container:x"}, {"userns_mode": "foo"}, {"cgroupns": "foo"},
     {"network_mode": "mynet"}, {"pid_mode": "container:"}],
)  # fmt: skip
def test_a_mode_that_is_none_is_refused(lab: Engine, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="choose"):
        lab.containers.create("lab/base", ["true"], **options)


@pytest.mark.usefixtures("needs_root")
def test_a_container_stands_below_the_cgroup_that_was_named(lab: Engine) -> None:
    parent = "above"
    container = lab.containers.run("lab/base", ["sleep", "60"], detach=True, cgroup_parent=parent)
    lines = Path(f"/proc/{container.pid}/cgroup").read_text().splitlines()
    assert any(line.endswith(f"/{parent}/{container.id}") for line in lines)
    assert container.attrs["HostConfig"]["CgroupParent"] == parent
    container.remove(force=True)
    cgroup.open(parent).remove()
