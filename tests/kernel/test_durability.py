"""What a container is stays true on disk, whoever is killed between two steps: verbs cut short, menders cut short."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from labcontainer.engine import mend, record
from labcontainer.engine.holding import holding
from labcontainer.errors import InitError
from labcontainer.kernel import proc
from labcontainer.oci.bundle import beside
from labcontainer.runtime import state
from labcontainer.runtime.claim import claim
from labcontainer.runtime.life import Status
from tests.kernel.test_faults import lab, until

if TYPE_CHECKING:
    from labcontainer.engine import Container, Engine

ALWAYS = {"restart_policy": {"Name": "always"}}


def running(engine: Engine, *command: str, **settings: Any) -> Container:
    return engine.containers.run("lab/base", list(command or ("sleep", "60")), detach=True, **settings)


def kill(container: Container, *whom: str) -> None:
    now = state.load(container.directory)
    for name in whom:
        one = getattr(now, name)
        os.kill(one.pid, signal.SIGKILL)
        until(lambda one=one: not one.alive())  # type: ignore[misc]


def test_a_container_with_rm_is_restarted_and_not_removed(engine: Engine) -> None:
    container = running(engine, remove=True)
    before = container.pid
    container.restart(timeout=0)
    assert container.status == "running"
    assert container.pid not in (0, before)
    container.stop(timeout=0)
    until(lambda: not container.directory.exists())


def test_another_engine_leaves_a_container_with_rm_alone_while_it_is_restarted(engine: Engine) -> None:
    container = running(engine, remove=True)
    held = holding(container.directory)
    try:
        kill(container, "monitor", "init")
        assert not any("removed" in line for line in engine.mend_all())
        assert container.status == "exited"
    finally:
        os.close(held)
    assert any("removed" in line for line in engine.mend_all())


def test_a_stopped_container_stays_stopped_though_its_monitor_was_killed_and_its_policy_is_always(
    engine: Engine,
) -> None:
    container = running(engine, **ALWAYS)
    kill(container, "monitor")
    container.stop(timeout=0)
    assert container.status == "exited"
    assert engine.mend_all() == []
    assert container.status == "exited"
    container.remove()


@pytest.mark.parametrize("whom", [("monitor",), ("monitor", "init")], ids="+".join)
def test_a_container_whose_monitor_was_killed_is_removed_by_force(engine: Engine, whom: tuple[str, ...]) -> None:
    container = running(engine, **ALWAYS)
    kill(container, *whom)
    container.remove(force=True)
    assert list(engine.container_root.iterdir()) == []


def test_a_container_that_its_policy_starts_all_the_time_is_removed_at_any_moment(engine: Engine) -> None:
    for moment in range(6):
        container = running(engine, "true", **ALWAYS)
        time.sleep(0.08 + moment / 200)
        container.remove(force=True)
        assert not container.directory.exists()


def test_a_stop_that_is_killed_half_way_leaves_its_policy_to_the_container(engine: Engine) -> None:
    container = running(engine, "sh", "-c", "trap '' TERM; sleep 60", **ALWAYS)
    client = lab(engine, "stop", "-t", "60", container.id)
    until(lambda: state.load(container.directory).halted)
    client.kill()
    client.wait()
    until(lambda: not state.load(container.directory).halted)
    before = container.pid
    kill(container, "init")
    until(lambda: container.pid not in (0, before))
    container.remove(force=True)


def test_a_mender_that_is_killed_before_it_starts_a_container_again_leaves_that_to_the_next(engine: Engine) -> None:
    container = running(engine, **ALWAYS)
    kill(container, "monitor", "init")
    assert mend._end(container.directory, "it")
    assert state.load(container.directory).status is Status.RESTARTING
    assert container.status == "exited"
    assert any("started again" in line for line in engine.mend_all())
    assert container.status == "running"
    container.remove(force=True)


def test_what_somebody_else_has_claimed_is_not_mended(engine: Engine) -> None:
    container = running(engine)
    kill(container, "monitor", "init")
    held = claim(container.directory)
    assert held is not None
    assert claim(container.directory) is None
    assert engine.mend_all() == []
    os.close(held)
    assert len(engine.mend_all()) == 1
    container.remove()


def test_a_health_check_that_goes_on_keeps_no_other_monitor_away(engine: Engine) -> None:
    check = {"test": ["CMD", "sleep", "20"], "interval": 10**8, "timeout": 25 * 10**9}
    container = running(engine, healthcheck=check)
    monitor = state.load(container.directory).monitor
    assert monitor is not None
    until(lambda: len(proc.children(monitor.pid)) > 1)
    kill(container, "monitor")
    assert any("another looks after it" in line for line in engine.mend_all())
    container.remove(force=True)


def test_a_file_that_an_engine_was_killed_in_writing_is_taken_away(engine: Engine) -> None:
    container = engine.containers.create("lab/base", ["true"])
    beside(container.directory / "config.json").write_text('{"half')
    assert [line for line in engine.mend_all() if "config.json was half written" in line]
    assert [path.name for path in container.directory.iterdir() if path.name.startswith(".")] == []
    container.remove()


def test_what_cannot_be_mended_is_said_and_in_nobodys_way(engine: Engine) -> None:
    broken = engine.container_root / ("0" * 64)
    (broken / "state.json").mkdir(parents=True)  # it can neither be read nor be written anew
    left = engine.container_root / f".{'1' * 64}"
    left.symlink_to("/nowhere")
    said = engine.mend_all()
    assert [line for line in said if "state.json" in line]
    assert engine.containers.run("lab/base", ["echo", "well"], remove=True) == b"well\n"


def test_a_state_that_somebody_has_changed_meanwhile_is_not_written_over(engine: Engine) -> None:
    container = engine.containers.create("lab/base", ["true"])
    before = state.load(container.directory)
    now = state.State(before.id, Status.STOPPED, before.boot_id, exit_code=3)
    assert state.exchange(container.directory, before, now)
    assert not state.exchange(container.directory, before, before)
    assert state.load(container.directory) == now
    container.remove()


def test_two_engines_that_open_at_once_mend_a_container_once(engine: Engine) -> None:
    from labcontainer.engine import Engine as Again

    containers = [running(engine, **ALWAYS) for _ in range(3)]
    for container in containers:
        kill(container, "monitor", "init")
    said: list[list[str]] = []
    threads = [threading.Thread(target=lambda: said.append(Again(engine.root, engine.run).mended)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for container in containers:
        until(lambda container=container: container.status == "running")  # type: ignore[misc]
        about = [line for lines in said for line in lines if container.short_id in line]
        assert len([line for line in about if "killed" in line]) == 1
        container.remove(force=True)


def test_a_policy_holds_for_a_container_whose_monitor_was_killed_in_starting_it_again(engine: Engine) -> None:
    container = running(engine, **ALWAYS)
    kill(container, "monitor", "init")
    half_way = dataclasses.replace(state.load(container.directory), status=Status.CREATING, init=None)
    state.save(container.directory, half_way)
    assert any("started again" in line for line in engine.mend_all())
    assert container.status == "running"
    container.remove(force=True)


def test_a_monitor_knows_when_its_container_last_ran_before_it_runs_again(engine: Engine) -> None:
    container = running(engine)
    began = state.load(container.directory).started_ns
    container.stop(timeout=0)
    connection = container.launch()
    assert state.load(container.directory).started_ns == began
    connection.close()
    until(lambda: container.status == "exited")
    container.remove()


def test_a_monitor_that_comes_too_late_is_told_so(engine: Engine) -> None:
    container = running(engine)
    request = dataclasses.replace(record.read_request(container.directory), adopt=True)
    with pytest.raises(InitError, match="another monitor looks after it"):
        engine.zygote.adopt(request)
    container.remove(force=True)
    with pytest.raises(InitError, match="or it was removed"):
        engine.zygote.adopt(request)
    assert (engine.run / "zygote.log").read_text() == ""


def test_a_container_is_started_again_though_who_carries_its_policy_out_is_killed_before_the_start(
    engine: Engine,
) -> None:
    container = running(engine, **ALWAYS)
    container.stop(timeout=0)
    container.launch().close()  # as by a mender that is killed here
    until(lambda: container.status == "running")
    container.remove(force=True)
