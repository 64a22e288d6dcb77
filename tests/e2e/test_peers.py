"""What we write, run by others."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from labcontainer.engine import Engine
from labcontainer.kernel.overlay import Overlay
from tests.needs import Needs


@pytest.mark.usefixtures("needs_root")
def test_runc_runs_our_bundle_unchanged(engine: Engine, needs: Needs, tmp_path: Path) -> None:
    runc = needs("runc")
    container = engine.containers.create(
        "lab/base", ["sh", "-c", "hostname; id -u"], hostname="from-lab", mem_limit="64m"
    )
    try:
        config = (container.directory / "config.json").read_bytes()
        image = engine.images.get("lab/base")
        for name in ("upper", "work"):
            (tmp_path / name).mkdir()
        overlay = Overlay(engine.snapshots.lowerdirs(image, engine.store), tmp_path / "upper", tmp_path / "work")
        # The mount namespace takes the overlay with it when the shell ends.
        script = 'mount -t overlay overlay -o "$1" "$2/rootfs" && exec "$3" --root "$4" run -b "$2" lab-peer'
        arguments = [overlay.options(), container.directory, runc, tmp_path / "runc"]
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", *map(str, arguments)],
            check=False,
            capture_output=True,
            text=True,
        )
        assert (done.stdout, done.returncode) == ("from-lab\n0\n", 0), done.stderr
        assert (container.directory / "config.json").read_bytes() == config
    finally:
        container.remove(force=True)
