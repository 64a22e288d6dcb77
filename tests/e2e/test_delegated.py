"""Limits of an ordinary user in version 2: in the part of the hierarchy that was given to it, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainer.engine import Container, Engine
from labcontainer.kernel import cgroup
from labcontainer.kernel.cgroup.delegation import ASIDE

pytestmark = pytest.mark.usefixtures("needs_ordinary_user", "needs_cgroup_v2", "needs_cgroups")

TOP = Path("/sys/fs/cgroup")


@pytest.fixture
def limited(engine: Engine) -> Iterator[Container]:
    settings = {"mem_limit": "64m", "pids_limit": 50, "nano_cpus": 500_000_000}
    container = engine.containers.run("lab/base", "sleep 1000", detach=True, **settings)
    assert not isinstance(container, bytes)
    yield container
    container.remove(force=True)


def stands_in(pid: int | str) -> Path:
    """The cgroup of process `pid`."""
    return Path(f"{TOP}{Path(f'/proc/{pid}/cgroup').read_text().strip().removeprefix('0::')}")


def test_the_limits_stand_in_a_cgroup_that_is_the_users_own(limited: Container) -> None:
    directory = stands_in(limited.pid)
    assert cgroup.open(limited.id).directories == (directory,)
    assert directory.stat().st_uid == os.getuid()
    found = {name: (directory / name).read_text() for name in ("memory.max", "pids.max", "cpu.max")}
    assert found == {"memory.max": f"{64 << 20}\n", "pids.max": "50\n", "cpu.max": "50000 100000\n"}
    # Seen from inside, its own cgroup is the root of all.
    assert limited.exec_run("cat /proc/self/cgroup").output == b"0::/\n"


def test_we_have_moved_aside_to_make_room_for_limits(limited: Container) -> None:
    ours = stands_in("self")
    assert ours.name == ASIDE
    assert ours.parent in stands_in(limited.pid).parents
    assert not (ours.parent / "cgroup.procs").read_text()


def test_nobody_can_be_moved_out_of_what_was_given(limited: Container) -> None:
    with pytest.raises(PermissionError):
        (TOP / "cgroup.procs").write_text(str(limited.pid))
