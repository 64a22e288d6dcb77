"""What a container's root finds when it looks for something of the host's to write to, to read, or to speak to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from labcontainer.runtime import state
from tests.kernel.conftest import eventually

if TYPE_CHECKING:
    from labcontainer.engine import Container, Engine

# Opened, and nothing written: what could be opened is printed.
OPEN = """
import os, sys
for path in sys.argv[1:]:
    for directory, _, files in os.walk(path):
        for name in files:
            try:
                os.close(os.open(os.path.join(directory, name), os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                continue
            print(os.path.join(directory, name))
"""


def ran(box: Container, command: list[str]) -> str:
    """What `command` prints in there."""
    output = box.exec_run(command).output
    assert isinstance(output, bytes)
    return output.decode()


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize("seccomp", [True, False])
def test_nothing_in_sys_or_of_the_machine_in_proc_can_be_written_to(lab: Engine, seccomp: bool) -> None:
    """CVE-2022-0492 among them: the release_agent of a cgroup is run by the Linux kernel, outside of any container."""
    places = ["/sys", "/proc/sys", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/acpi", "/proc/scsi"]
    assert lab.containers.run("lab/python", ["python3", "-c", OPEN, *places], seccomp=seccomp, remove=True) == b""
    # Tried in a shell of its own each: a redirection that fails ends the shell in which it stands.
    script = "for f in sysrq-trigger kcore; do [ -e /proc/$f ] && (: > /proc/$f) && echo $f; done 2>/dev/null; true"
    said = lab.containers.run("lab/base", ["sh", "-c", script], seccomp=seccomp, remove=True)
    assert set(said.split()) <= {b"kcore"}  # that is the null device


@pytest.mark.usefixtures("needs_root")
def test_a_user_namespace_of_its_own_gives_a_container_no_release_agent(lab: Engine) -> None:
    """CVE-2022-0492, the whole of it: in a new user and cgroup namespace, on a hierarchy that it mounts itself."""
    attack = (
        "mkdir /c; for h in rdma memory cpu pids misc; do mount -t cgroup -o $h none /c 2>/dev/null && break; done; "
        "echo /agent > /c/release_agent && echo written"
    )
    script = ["unshare", "-UrmC", "sh", "-c", attack]
    for seccomp in (True, False):
        box = lab.containers.run("lab/base", ["sleep", "60"], detach=True, seccomp=seccomp)
        try:
            assert "written" not in ran(box, script)
        finally:
            box.remove(force=True)


@pytest.mark.usefixtures("needs_root")
def test_a_device_that_an_image_brings_or_a_container_makes_cannot_be_opened(lab: Engine) -> None:
    box = lab.containers.create("lab/base", ["sleep", "60"])
    os.mknod(box.directory / "upper" / "brought", 0o020666, os.makedev(1, 1))
    try:
        box.start()
        assert box.exec_run(["mknod", "/made", "c", "1", "1"]).exit_code == 0
        for path in ("/brought", "/made"):
            assert "Operation not permitted" in ran(box, ["head", "-c", "1", path])
    finally:
        box.remove(force=True)


def test_on_the_hosts_network_nobody_of_ours_can_be_spoken_to(lab: Engine) -> None:
    """CVE-2020-15257: an abstract socket belongs to a network namespace, a path to a root file system."""
    box = lab.containers.run("lab/base", ["sleep", "60"], detach=True, network_mode="host")
    try:
        rows = [line.split() for line in ran(box, ["cat", "/proc/net/unix"]).splitlines()[1:]]
        abstract = {row[6] for row in rows if len(row) > 7 and row[7].startswith("@")}
        monitor = state.load(box.directory).monitor
        assert monitor is not None
        found = {os.readlink(path) for path in Path(f"/proc/{monitor.pid}/fd").iterdir()}
        sockets = {name[8:-1] for name in found if name.startswith("socket:[")}
    finally:
        box.remove(force=True)
    assert sockets
    assert not sockets & abstract


def test_no_command_inherits_a_descriptor_a_group_or_a_capability_to_hand_on(lab: Engine) -> None:
    """CVE-2022-24769 (the inheritable set), CVE-2022-2995 (groups), and what a health check has of its monitor's."""
    look = "ls /proc/self/fd; grep -E '^(CapInh|Groups)' /proc/self/status"
    health = {"test": ["CMD-SHELL", look], "interval": 10**9, "retries": 1}
    box = lab.containers.run("lab/base", ["sh", "-c", f"{look}; sleep 60"], detach=True, healthcheck=health)
    try:
        said = [ran(box, ["sh", "-c", look])]
        assert eventually(lambda: len(box.attrs["State"]["Health"]["Log"]) > 0)
        said += [box.logs().decode(), box.attrs["State"]["Health"]["Log"][0]["Output"]]
    finally:
        box.remove(force=True)
    for one in said:
        descriptors, _, rest = one.partition("Groups:")
        assert descriptors.split() == ["0", "1", "2", "3"]  # the last is that of ls itself
        groups, inheritable = rest.splitlines()
        assert int(inheritable.split()[1], 16) == 0
        assert os.geteuid() != 0 or groups.strip() in ("", "0"), said
