"""Mount points that move: links in a volume that another container exchanges, and other ways to /proc."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from labcontainer.errors import InitError
from labcontainer.kernel import proc
from tests.kernel.conftest import eventually

if TYPE_CHECKING:
    from labcontainer.engine import Engine

# CVE-2021-30465: a directory in the shared volume and a link change places without end.
EXCHANGE = """
import ctypes, os, sys
os.mkdir("/shared/point"); os.symlink(sys.argv[1], "/shared/link")
exchange = ctypes.CDLL(None).renameat2
print("ready", flush=True)
while True:
    exchange(-100, b"/shared/point", -100, b"/shared/link", 2)
"""
ROUNDS = 15


def at(*places: tuple[Path, str]) -> dict[str, dict[str, str]]:
    return {str(source): {"bind": destination, "mode": "rw"} for source, destination in places}


@pytest.mark.parametrize("target", ["/proc", "/proc/sys/kernel", "/proc/self/cwd", "/../../../../..{host}"])
def test_a_mount_point_that_is_exchanged_leads_neither_to_proc_nor_to_the_host(
    lab: Engine, tmp_path: Path, target: str
) -> None:
    shared, host, given = tmp_path / "shared", tmp_path / "host", tmp_path / "given"
    for directory in (shared, host, given):
        directory.mkdir()
    (given / "mark").touch()
    script = ["python3", "-u", "-c", EXCHANGE, target.format(host=host)]
    attacker = lab.containers.run("lab/python", script, detach=True, seccomp=False, volumes=at((shared, "/shared")))
    volumes = at((shared, "/shared"), (given, "/shared/point"))
    try:
        assert eventually(lambda: b"ready" in attacker.logs())
        for _ in range(ROUNDS):
            victim = lab.containers.create("lab/base", ["sleep", "60"], volumes=volumes)
            with contextlib.suppress(InitError):
                victim.start()
                places = [each.target for each in proc.mountinfo(victim.pid) if each.root.endswith("/given")]
                assert places
                assert not any(place.startswith("/proc") for place in places), places
            victim.remove(force=True)
    finally:
        attacker.remove(force=True)
    assert os.listdir(host) == []
    assert os.listdir(given) == ["mark"]


@pytest.mark.parametrize("link", ["/proc", "/proc/sys/kernel", "../proc/self/attr"])
def test_a_link_in_a_volume_that_leads_into_proc_is_refused(lab: Engine, tmp_path: Path, link: str) -> None:
    """CVE-2025-52881: what is mounted there decides where later writes to /proc go."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "fake").mkdir()
    (tmp_path / "shared" / "point").symlink_to(link)
    volumes = at((tmp_path / "shared", "/shared"), (tmp_path / "fake", "/shared/point"))
    with pytest.raises(InitError, match="leads into /proc"):
        lab.containers.run("lab/base", ["true"], remove=True, volumes=volumes)


def test_a_volume_in_the_place_of_proc_is_refused_and_one_file_of_lxcfs_is_not(lab: Engine, tmp_path: Path) -> None:
    (tmp_path / "fake").mkdir()
    for place in ("/proc", "/proc/self/attr", "/proc/sys"):
        with pytest.raises(InitError, match=r"leads into /proc|only a procfs can be mounted there"):
            lab.containers.run("lab/base", ["true"], remove=True, volumes=at((tmp_path / "fake", place)))
    (tmp_path / "uptime").write_text("1.00 1.00\n")
    volumes = at((tmp_path / "uptime", "/proc/uptime"))
    assert lab.containers.run("lab/base", ["cat", "/proc/uptime"], remove=True, volumes=volumes) == b"1.00 1.00\n"


def test_what_masks_a_path_is_the_null_device(lab: Engine, tmp_path: Path) -> None:
    """CVE-2025-31133: a link at /dev/null had the runtime bind what it led to over the path, to be written to."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "null").symlink_to("/proc/sys/kernel/core_pattern")
    script = ["sh", "-c", "stat -c %t:%T /proc/keys /proc/timer_list"]
    with pytest.raises(InitError, match="is not the null device"):
        lab.containers.run("lab/base", script, volumes=at((tmp_path / "dev", "/dev")), remove=True)
    for volumes in ({}, at((Path("/dev"), "/dev"))):
        said = lab.containers.run("lab/base", script, volumes=volumes, remove=True)
        assert set(said.split()) == {b"1:3"}


def test_the_console_is_the_containers_terminal(lab: Engine) -> None:
    """CVE-2025-52565: it was bound by name, before the paths of /proc were masked."""
    script = "stat -c %t:%T:%i /dev/console $(tty); cat /proc/mounts | grep -c console"
    said = lab.containers.run("lab/base", ["sh", "-c", script], tty=True, remove=True).split()
    assert said[0].startswith(b"88:")  # 136, the devices of devpts
    assert said[0] == said[1]
    assert said[2] == b"1"
