"""What is left when a process of ours is killed at a bad moment: nothing, or what the next engine mends."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from labcontainer.engine import record
from labcontainer.engine.holding import holding
from labcontainer.errors import ContainerError, InitError, LabError
from labcontainer.kernel import cgroup, proc
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


def lab(engine: Engine, *words: str) -> subprocess.Popen[bytes]:
    places = {"LABCONTAINER_ROOT": str(engine.root), "LABCONTAINER_RUN": str(engine.run)}
    return subprocess.Popen([sys.executable, "-m", "labcontainer.cli", *words], env={**os.environ, **places})


def test_an_engine_killed_in_mid_run_leaves_nothing_of_a_run_with_rm(engine: Engine) -> None:
    client = lab(engine, "run", "--rm", "lab/base", "sleep", "1")
    until(engine.containers.list)
    client.kill()
    client.wait()
    until(lambda: not list(engine.container_root.iterdir()))


def test_an_engine_killed_at_any_moment_leaves_nothing_that_the_next_does_not_clear(engine: Engine) -> None:
    for moment in range(12):
        client = lab(engine, "run", "--rm", "lab/base", "sleep", "0.1")
        until(lambda: any(engine.container_root.iterdir()))
        time.sleep(moment / 1000)
        client.kill()
        client.wait()
        until(lambda: engine.mend_all() is not None and not list(engine.container_root.iterdir()))


def test_a_directory_that_an_engine_was_killed_in_making_is_cleared(engine: Engine) -> None:
    left = engine.container_root / ("1" * 64)
    left.joinpath("upper").mkdir(parents=True)
    assert len(engine.mend_all()) == 1
    assert list(engine.container_root.iterdir()) == []


def test_a_run_whose_engine_was_killed_before_it_began_is_cleared_and_one_that_begins_is_not(engine: Engine) -> None:
    kept = engine.containers.create("lab/base", ["true"])
    begun = engine.containers.create("lab/base", ["true"])
    record.write(begun.directory, dataclasses.replace(begun.record, transient=True))
    holder = holding(begun.directory)
    assert engine.mend_all() == []
    os.close(holder)
    assert len(engine.mend_all()) == 1
    assert engine.containers.list(all=True) == [kept]
    kept.remove()


def test_a_damaged_state_is_said_and_the_container_can_be_removed(engine: Engine) -> None:
    container = sleeper(engine)
    container.kill()
    container.wait(timeout=10)
    (container.directory / "state.json").write_text("")
    assert [line for line in engine.mend_all() if "state.json" in line]
    assert container.status == "exited"
    container.remove()


def test_a_created_container_whose_creator_is_killed_before_the_start_ends(engine: Engine) -> None:
    container, connection = engine.containers.open("lab/base", ["sleep", "60"], remove=True)
    connection.close()
    until(lambda: not container.directory.exists())
    kept = engine.containers.create("lab/base", ["sleep", "60"])
    time.sleep(0.1)
    assert kept.state.status == "created"
    kept.remove(force=True)


def run_and_kill(engine: Engine, victim: Callable[[int], int | None], moment: float) -> BaseException | None:
    """Run a container and kill the process that `victim` finds from the monitor's pid, `moment` seconds later."""
    ended: list[BaseException | None] = []

    def run() -> None:
        try:
            engine.containers.run("lab/base", ["true"], remove=True)
        except LabError as error:
            ended.append(error)
        else:
            ended.append(None)

    thread = threading.Thread(target=run)
    thread.start()
    while not ended and thread.is_alive():
        if (monitor := monitor_of(engine)) and (pid := victim(monitor)):
            time.sleep(moment)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            break
    thread.join(timeout=20 * SLOW)
    assert not thread.is_alive(), "the client waits for ever"
    return ended[0]


def monitor_of(engine: Engine) -> int | None:
    for directory in engine.container_root.iterdir():
        with contextlib.suppress(LabError):
            monitor = state.load(directory).monitor
            return monitor.pid if monitor else None
    return None


def test_a_monitor_killed_at_any_moment_leaves_nothing_that_the_next_start_does_not_clear(engine: Engine) -> None:
    engine.containers.run("lab/base", ["true"], remove=True)
    seen = set()
    for moment in range(12):
        error = run_and_kill(engine, lambda monitor: monitor, moment / 1000)
        seen.add(type(error))
        assert error is None or "monitor was killed" in str(error)
        until(lambda: engine.mend_all() is not None and not list(engine.container_root.iterdir()))
    assert LabError in seen


def test_an_init_killed_at_any_moment_is_137_and_leaves_nothing(engine: Engine) -> None:
    engine.containers.run("lab/base", ["true"], remove=True)
    seen = set()
    for moment in range(12):
        error = run_and_kill(engine, child_of, moment / 2000)
        seen.add(type(error))
        match error:
            case None:
                pass
            case InitError():
                assert error.exit_code == 137
            case ContainerError():
                assert error.exit_status == 137
            case _:
                raise error
        until(lambda: not list(engine.container_root.iterdir()))  # its files go after the answer
    assert seen & {InitError, ContainerError}


def child_of(monitor: int) -> int | None:
    with contextlib.suppress(OSError):
        return next(iter(proc.children(monitor)), None)
    return None


def test_traces_and_sockets_of_killed_processes_are_cleared(engine: Engine) -> None:
    engine.run.joinpath("trace-killed.jsonl").write_text("")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as zygote:
        zygote.bind(str(engine.run / "zygote-0.sock"))
    with engine.trace() as trace:
        engine.mend_all()
        engine.containers.run("lab/base", ["true"], remove=True)
    assert trace.events
    assert [path.name for path in engine.run.iterdir() if path.suffix in (".jsonl", ".sock")] == [
        engine.zygote.address.name
    ]


def test_rm_of_a_container_whose_init_ignores_sigterm(engine: Engine) -> None:
    client = lab(engine, "run", "--rm", "lab/base", "sh", "-c", "trap '' TERM; sleep 60")
    until(engine.containers.list)
    container = engine.containers.list()[0]
    client.terminate()  # passed on to an init that does not care
    container.stop(timeout=0.3)
    assert client.wait(timeout=20) == 137
    until(lambda: not list(engine.container_root.iterdir()))


@pytest.mark.usefixtures("needs_cgroups")
def test_a_fork_bomb_leaves_the_host_unharmed_and_goes_with_its_container(engine: Engine) -> None:
    bomb = engine.containers.run(
        "lab/base", ["sh", "-c", "b() { b | b & }; b; exec sleep 60"], detach=True, pids_limit=64
    )
    until(lambda: cgroup.open(bomb.id).events().pids_max)
    assert engine.containers.run("lab/base", ["echo", "well"], remove=True) == b"well\n"
    assert len(cgroup.open(bomb.id).pids()) <= 64
    bomb.remove(force=True)


@pytest.mark.usefixtures("needs_cgroups")
@pytest.mark.parametrize("hog", ["x=$(tail /dev/zero); exit 1", "head -c 60000000 /dev/zero > /dev/shm/hog; exit $?"])
def test_a_memory_hog_leaves_its_neighbours_unharmed(engine: Engine, hog: str) -> None:
    neighbour = sleeper(engine)
    with pytest.raises(ContainerError):
        engine.containers.run("lab/base", ["sh", "-c", hog], remove=True, mem_limit="16m")
    assert neighbour.status == "running"
    neighbour.remove(force=True)
