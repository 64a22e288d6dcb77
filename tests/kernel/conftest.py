"""What tests of cgroups share: a cgroup, processes inside it, and a disk that nobody else uses."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from labcontainer.kernel import cgroup
from labcontainer.kernel.cgroup import Cgroup
from tests.disks import Disk

SLOW = float(os.environ.get("LAB_SLOW", "1"))


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
