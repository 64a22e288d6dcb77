"""The leak check itself: each thing that a test may leave on the machine, left on purpose, is seen."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from labcontainer.kernel import mount
from tests.leaks import snapshot


def test_an_orphan_is_seen_although_its_parent_is_gone(supervisor_pid: int) -> None:
    before = snapshot(supervisor_pid)
    orphan = int(_output_of("setsid sleep 60 >/dev/null 2>&1 & echo $!"))
    try:
        lines = before.difference(snapshot(supervisor_pid))
        assert any(line.startswith(f"processes: left behind: pid {orphan} ") for line in lines), lines
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_a_dead_orphan_is_reaped_as_init_would(supervisor_pid: int) -> None:
    orphan = _output_of("sleep 0.01 >/dev/null 2>&1 & echo $!")
    deadline = time.monotonic() + 2
    while Path("/proc", orphan).exists():
        assert time.monotonic() < deadline, "the dead orphan was not reaped"
        time.sleep(0.01)


@pytest.mark.usefixtures("needs_root")
def test_a_mount_is_seen(supervisor_pid: int, tmp_path: Path) -> None:
    before = snapshot(supervisor_pid)
    mount.mount("none", tmp_path, "tmpfs")
    try:
        (line,) = before.difference(snapshot(supervisor_pid))
        assert line.startswith(f"mounts: left behind: tmpfs on {tmp_path} ")
    finally:
        mount.umount2(tmp_path)


@pytest.mark.usefixtures("needs_root")
def test_a_network_namespace_kept_by_its_file_is_seen(supervisor_pid: int, tmp_path: Path) -> None:
    before = snapshot(supervisor_pid)
    file = tmp_path / "net"
    file.touch()
    subprocess.run(["unshare", f"--net={file}", "true"], check=True)
    try:
        lines = before.difference(snapshot(supervisor_pid))
        assert any(line.startswith("namespaces: left behind: net:[") for line in lines), lines
    finally:
        mount.umount2(file)


@pytest.mark.usefixtures("needs_root")
def test_a_link_is_seen(supervisor_pid: int) -> None:
    before = snapshot(supervisor_pid)
    subprocess.run(["ip", "link", "add", "labtest0", "type", "bridge"], check=True)
    try:
        assert before.difference(snapshot(supervisor_pid)) == ["links: left behind: labtest0"]
    finally:
        subprocess.run(["ip", "link", "delete", "labtest0"], check=True)


def _output_of(script: str) -> str:
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.strip()
