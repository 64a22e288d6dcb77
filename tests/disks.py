"""``disk``: a block device that nobody else uses."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.needs import Needs


@dataclass(frozen=True)
class Disk:
    """A whole block device of 64 MiB."""

    path: Path
    major: int
    minor: int


@pytest.fixture
def disk(needs: Needs, tmp_path: Path) -> Iterator[Disk]:
    losetup = needs("losetup")
    image = tmp_path / "disk.img"
    image.touch()
    os.truncate(image, 64 << 20)
    # Where loop is a module, nothing has loaded it before the first who wants it.
    subprocess.run(["modprobe", "-q", "loop"], capture_output=True, check=False)
    made = subprocess.run([losetup, "--find", "--show", image], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no loop device: {made.stderr.strip()} (sudo modprobe loop)")
    path = Path(made.stdout.strip())
    number = path.stat().st_rdev
    yield Disk(path, os.major(number), os.minor(number))
    subprocess.run([losetup, "--detach", path], check=True)
