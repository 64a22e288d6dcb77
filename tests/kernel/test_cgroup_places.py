"""Where a cgroup is, by its name: below our base, from the top of the hierarchies, and one inside another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainer.errors import HostError, UsageError
from labcontainer.kernel import cgroup
from labcontainer.kernel.cgroup import Cgroup, HugepageLimit, Limits, tree
from tests.kernel.conftest import Inside, eventually, run_script

pytestmark = pytest.mark.usefixtures("needs_root")

MIB = 1 << 20
BUSY = "while True: pass"


@pytest.fixture
def parent() -> Iterator[str]:
    """The name of a cgroup at the top of every hierarchy, as podman has libpod_parent."""
    name = f"/labcontainer-parent-{os.getpid()}"
    yield name
    for top in {mount.target for mount in cgroup.host().mounts.values()}:
        tree.remove(Path(f"{top}{name}"))


def test_an_absolute_path_is_counted_from_the_top_of_each_hierarchy(parent: str) -> None:
    group = cgroup.create(f"{parent}/x")
    cpus = "0" if "cpuset" in cgroup.host().controllers else None
    group.set(Limits(memory_bytes=64 * MIB, cpuset_cpus=cpus))
    tops = {mount.target for mount in cgroup.host().mounts.values()}
    for directory in group.directories:
        assert str(directory).removesuffix(f"{parent}/x") in tops
    sleeper = subprocess.Popen(["sleep", "100"])
    try:
        cgroup.open(f"{parent}/x").add(sleeper.pid)
        inside = Path(f"/proc/{sleeper.pid}/cgroup").read_text().splitlines()
        assert len([row for row in inside if row.endswith(f":{parent}/x")]) == len(group.directories)
        assert cgroup.open(f"{parent}/x").pids() == (sleeper.pid,)
        assert cgroup.open(f"{parent}/x").limits().memory_bytes == 64 * MIB
    finally:
        group.kill()
        sleeper.wait()
        group.remove()
    assert not any(directory.exists() for directory in group.directories)
    assert group.directories[0].parent.exists()  # others may use what was above


def test_the_same_name_is_the_same_place_whoever_made_it(parent: str) -> None:
    for mount in cgroup.host().mounts.values():
        Path(f"{mount.target}{parent}/made/by/others").mkdir(parents=True, exist_ok=True)
    group = cgroup.create(f"{parent}/made/by/others")
    sleeper = subprocess.Popen(["sleep", "100"])
    try:
        group.add(sleeper.pid)  # into a version 1 cpuset too, which was left empty
        assert group.pids() == (sleeper.pid,)
    finally:
        group.kill()
        sleeper.wait()
        group.remove()


def test_a_systemd_name_is_a_path_of_slices(parent: str) -> None:
    word = parent[1:].replace("-", "")
    group = cgroup.create(f"{word}-pods.slice:libpod:7f3a")
    try:
        assert str(group.directories[0]).endswith(f"/{word}.slice/{word}-pods.slice/libpod-7f3a.scope")
    finally:
        group.remove()
        for directory in group.directories:
            tree.remove(directory.parents[1])


@pytest.mark.parametrize("name", ["", ".", "..", "a/../b", "/", "/..", "a\0b", "x:y:z", "a.slice:p:"])
def test_what_is_no_place_for_a_container_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        cgroup.at(name)


def test_nothing_is_made_by_naming_a_place(group: Cgroup) -> None:
    nested = cgroup.at(f"{group.name}/nested")
    assert nested.directories[-1].parent == group.directories[-1]
    assert not nested.directories[-1].exists()
    nested.remove()


def test_a_limit_above_holds_below_and_is_told_as_the_limit(group: Cgroup) -> None:
    group.set(Limits(memory_bytes=64 * MIB))
    nested = cgroup.create(f"{group.name}/nested")
    nested.set(Limits(memory_bytes=512 * MIB))
    assert nested.limits().memory_bytes == 512 * MIB
    assert nested.usage().memory_limit_bytes == 64 * MIB


def test_without_any_limit_the_machine_is_the_limit(group: Cgroup) -> None:
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert 0 < (group.usage().memory_limit_bytes or 0) <= total + MIB


def test_freezing_reaches_the_cgroups_inside_and_thawing_too(group: Cgroup) -> None:
    nested = cgroup.create(f"{group.name}/inner/innermost")
    inside = Inside(nested)
    try:
        inside(BUSY)
        assert eventually(lambda: (nested.usage().cpu_usec or 0) > 1000)
        nested.freeze()
        group.freeze()
        assert group.frozen
        group.thaw()
        assert not group.frozen
        assert nested.frozen  # it was frozen by itself as well
        nested.thaw()
        before = nested.usage().cpu_usec or 0
        assert eventually(lambda: (nested.usage().cpu_usec or 0) > before + 10_000)
        group.freeze()
        before = nested.usage().cpu_usec or 0
        assert eventually(lambda: group.frozen)
        assert (nested.usage().cpu_usec or 0) - before < 20_000
        group.kill()
        assert eventually(lambda: group.pids() == ())
    finally:
        inside.end()


def test_a_kill_for_memory_counts_in_the_cgroup_above_too(group: Cgroup) -> None:
    group.set(Limits(memory_bytes=32 * MIB, memory_swap_bytes=32 * MIB))
    nested = cgroup.create(f"{group.name}/nested")
    inside = Inside(nested)
    try:
        assert inside("kept = bytearray(b'x' * (256 << 20))").wait(60) == -9
        assert group.events().oom_kill == 1
    finally:
        inside.end()


def test_a_process_joins_those_inside_where_a_cgroup_gives_its_controllers_away(group: Cgroup) -> None:
    unified = group.directories[-1]
    if not (unified / "cgroup.subtree_control").exists():
        pytest.skip("belongs to another run: on a machine with cgroup version 2")
    nested = cgroup.create(f"{group.name}/init.scope")
    inside = Inside(nested)
    try:
        inside(BUSY)
        available = (unified / "cgroup.controllers").read_text().split()
        if not available:
            group.set(
                Limits(hugepages=(HugepageLimit("2MB", 0),))
            )  # has hugetlb given to it, where version 1 has the rest
            available = (unified / "cgroup.controllers").read_text().split()
        (unified / "cgroup.subtree_control").write_text(f"+{available[0]}")
        second = subprocess.Popen(["sleep", "100"])
        try:
            cgroup.open(group.name).add(second.pid)
            standing = Path(f"/proc/{second.pid}/cgroup").read_text().splitlines()[-1]
            assert standing.endswith(f"/{group.name}/init.scope")
            assert second.pid in cgroup.open(group.name).pids()
        finally:
            second.kill()
            second.wait()
    finally:
        inside.end()


NOT_ITS_OWN = """
import os
from labcontainer.errors import HostError
from labcontainer.kernel import cgroup
os.setgroups([]); os.setgid(65533); os.setuid(65533)
try:
    cgroup.create("/somewhere/x")
except HostError as error:
    print(error)
"""


def test_a_user_is_told_what_would_give_it_a_place(parent: str) -> None:
    told = run_script(NOT_ITS_OWN)
    assert "no cgroup is delegated to it; to mend it: " in told
    assert "\n" not in told


LACKS_ONE = """
import os, sys
from labcontainer.errors import HostError
from labcontainer.kernel import cgroup
os.setgroups([]); os.setgid(65534); os.setuid(65534)
group = cgroup.create("lacking")
try:
    group.set(cgroup.Limits(io_weight=100))
except HostError as error:
    print(error)
finally:
    group.remove()
"""


@pytest.mark.usefixtures("needs_cgroup_v1")
def test_a_controller_that_was_not_delegated_is_named_with_the_command() -> None:
    given = [
        Path(f"{mount.target}/labcontainer-65534")
        for name, mount in cgroup.host().mounts.items()
        if name in ("memory", "cpu", "pids")
    ]
    try:
        for directory in given:
            directory.mkdir()
            subprocess.run(["chown", "-R", "65534", directory], check=True)
        done = subprocess.run([sys.executable, "-c", LACKS_ONE], capture_output=True, text=True, check=True)
        assert "blkio" in done.stdout
        assert "sudo sh -c 'mkdir -p " in done.stdout
    finally:
        for directory in given:
            tree.remove(directory)


def test_a_host_without_the_controller_is_told_how_to_mount_it() -> None:
    host = cgroup.host()
    error = host.missing("rdma", "the limit rdma")
    assert isinstance(error, HostError)
    assert error.remedy
