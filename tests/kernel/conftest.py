"""What these tests share: an engine for a module, a listener, and a cgroup with processes inside it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from labcontainer.kernel import cgroup
from labcontainer.kernel.cgroup import Cgroup
from tests.disks import Disk

if TYPE_CHECKING:
    from labcontainer.engine import Engine

SLOW = float(os.environ.get("LAB_SLOW", "1"))


class Said(list[str]):
    """What was printed, a piece each."""

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self)


@pytest.fixture
def said() -> Said:
    return Said()


class Inside:
    """Python processes in a cgroup: ``inside(code)`` starts one that runs `code` once it is there."""

    def __init__(self, group: Cgroup) -> None:
        self._group = group
        self._started: list[subprocess.Popen[str]] = []

    def __call__(self, code: str) -> subprocess.Popen[str]:
        waiting = f"import sys; sys.stdin.readline()\n{code}"
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", waiting], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._started.append(process)
        self._group.add(process.pid)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        return process

    def end(self) -> None:
        self._group.kill()  # children of theirs too, which hold the pipe open
        for process in self._started:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, starter_images: Path) -> Iterator[Engine]:
    """An engine for all tests of a module, with the starter images and a zygote that runs already."""
    from labcontainer.engine import Engine

    home = tmp_path_factory.mktemp("m")
    (home / "root").mkdir()
    for shared in ("images", "layers"):
        (starter_images / shared).mkdir(exist_ok=True)
        (home / "root" / shared).symlink_to(starter_images / shared)
    with Engine(home / "root", home / "run") as engine:
        engine.containers.run("lab/base", ["true"], remove=True)  # its zygote is no leak of the first test
        yield engine


@pytest.fixture
def group() -> Iterator[Cgroup]:
    made = cgroup.create(f"test-{os.getpid()}")
    yield made
    made.kill()
    made.remove()


@pytest.fixture
def start(group: Cgroup) -> Iterator[Inside]:
    """``start(code)``: a Python in the group that runs `code` once it is inside."""
    inside = Inside(group)
    yield inside
    inside.end()


def line(process: subprocess.Popen[str]) -> str:
    """The next line that `process` prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def eventually(true: Callable[[], bool]) -> bool:
    """Whether `true` becomes so within a patience that no healthy machine needs."""
    deadline = time.monotonic() + 10 * SLOW
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def run_script(code: str, *arguments: str) -> str:
    """What a Python of its own prints, one with a single thread that may fork, move and give up its privileges."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def reads(disk: Disk, size: int) -> str:
    """Code that reads so many bytes of `disk` through the page cache, says ``read``, and waits."""
    return f"""
file = open({str(disk.path)!r}, "rb", buffering=0)  # who closes it last throws its cache away
left = {size}
while left > 0:
    left -= len(file.read(1 << 20))
print("read", flush=True)
sys.stdin.readline()
"""
