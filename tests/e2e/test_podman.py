"""podman, with lab-runtime in the place of runc."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import Needs

SCRIPT = r"""
# podman and crun refuse a host that has both versions of cgroups side by side.
umount /sys/fs/cgroup/unified 2>/dev/null
set -e
podman() { command "$PODMAN" --runtime "$RUNTIME" "$@"; }
say() { printf '%s\n' "$*"; }
say "$(podman run --rm --network none --rootfs "$ROOTFS" sh -c 'echo ran as $(id -u)')"
podman run -d --name box --network none -m 64m --rootfs "$ROOTFS" sh -c 'echo logged; sleep 100' >/dev/null
podman exec box sh -c 'exit 4' || say "exec ended with $?"
podman exec box nope 2>/dev/null || say "exec of nothing ended with $?"
say "$(podman logs box)"
podman pause box >/dev/null
say "$(podman inspect -f '{{.State.Status}}' box)"
podman unpause box >/dev/null
say "$(podman inspect -f '{{.State.Status}}' box)"
podman stop -t 0 box >/dev/null 2>&1
say "$(podman inspect -f '{{.State.Status}} {{.State.ExitCode}}' box)"
podman rm box >/dev/null
say "left: $(podman ps -aq)"
"""


@pytest.mark.usefixtures("needs_root")
def test_podman_runs_its_containers_with_our_runtime(needs: Needs, tmp_path: Path) -> None:
    podman = needs("podman")
    rootfs = tmp_path / "rootfs"
    for name in ("bin", "proc", "sys", "dev", "tmp", "etc", "run"):
        (rootfs / name).mkdir(parents=True)
    shutil.copy(str(needs("busybox")), rootfs / "bin" / "busybox")
    for name in ("sh", "sleep", "echo", "id"):
        (rootfs / "bin" / name).symlink_to("busybox")
    # Raising resource limits may be forbidden here, and no service manager is needed.
    (tmp_path / "containers.conf").write_text(
        '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\npids_limit = 100\n'
        '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
    )
    (tmp_path / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\nrunroot = "{tmp_path}/run"\ngraphroot = "{tmp_path}/graph"\n'
    )
    places = {
        "PODMAN": str(podman),
        "RUNTIME": str(Path(sys.executable).with_name("lab-runtime")),
        "ROOTFS": str(rootfs),
        "CONTAINERS_CONF": str(tmp_path / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf"),
    }
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", SCRIPT],
        env={**os.environ, **places}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "ran as 0",
        "exec ended with 4",
        "exec of nothing ended with 127",
        "logged",
        "paused",
        "running",
        "exited 137",
        "left: ",
    ], done.stderr
