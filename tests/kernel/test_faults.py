"""What is left when a process of ours is killed at a bad moment: nothing, or what the next engine mends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from labcontainer.kernel import proc
from labcontainer.runtime import state
from tests.leaks import SLOW

if TYPE_CHECKING:
    from labcontainer.engine import Container, Engine


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds * SLOW
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def sleeper(engine: Engine) -> Container:
    container = engine.containers.run("lab/base", ["sleep", "60"], detach=True)
    assert not isinstance(container, bytes)
    return container


def parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def test_containers_outlive_their_zygote_and_the_next_run_works(engine: Engine) -> None:
    container = sleeper(engine)
    monitor = state.load(container.directory).monitor
    assert monitor is not None
    zygote = parent(monitor.pid)
    with open(f"/proc/{zygote}/comm") as file:
        assert file.read() == "lab-zygote\n"
    os.kill(zygote, signal.SIGKILL)
    until(lambda: proc.start_time(zygote) is None)
    assert container.status == "running"
    assert engine.containers.run("lab/base", ["echo", "again"], remove=True) == b"again\n"
    container.remove(force=True)


def test_an_init_killed_from_outside_ends_with_137(engine: Engine) -> None:
    container = sleeper(engine)
    os.kill(container.pid, signal.SIGKILL)
    assert container.wait(timeout=10) == {"StatusCode": 137}
    container.remove()


def test_the_next_engine_mends_what_a_killed_monitor_left(engine: Engine) -> None:
    from labcontainer.engine import Engine as Again

    container = sleeper(engine)
    now = state.load(container.directory)
    monitor, init = now.monitor, now.init
    assert monitor is not None
    assert init is not None
    os.kill(monitor.pid, signal.SIGKILL)
    until(lambda: not monitor.alive())
    assert container.status == "running"  # a container outlives its monitor; only its exit code is lost
    os.kill(init.pid, signal.SIGKILL)
    until(lambda: not init.alive())
    mended = Again(engine.root, engine.run).mended
    assert [line for line in mended if container.short_id in line]
    assert container.status == "exited"
    left = [path for path, names, _ in os.walk("/sys/fs/cgroup") if container.id in names]
    assert left == []
    container.remove()


def test_an_engine_killed_in_mid_run_leaves_nothing_of_a_run_with_rm(engine: Engine) -> None:
    places = {"LABCONTAINER_ROOT": str(engine.root), "LABCONTAINER_RUN": str(engine.run)}
    command = [sys.executable, "-m", "labcontainer.cli", "run", "--rm", "lab/base", "sleep", "1"]
    client = subprocess.Popen(command, env={**os.environ, **places})
    until(engine.containers.list)
    client.kill()
    client.wait()
    until(lambda: not list(engine.container_root.iterdir()))
