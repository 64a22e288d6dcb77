from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from labcontainer.errors import NotFound, SpecError
from labcontainer.runtime import state
from labcontainer.runtime.life import Status
from labcontainer.runtime.state import ProcessId, State

GONE = ProcessId(2**22 + 1, 1)  # above the largest pid_max


def test_a_state_survives_the_disk(tmp_path: Path) -> None:
    written = State(
        "id", Status.RUNNING, state.boot_id(), ProcessId.of(os.getpid()), ProcessId.of(os.getpid()), started_ns=5
    )
    state.save(tmp_path, written)
    assert state.load(tmp_path) == written
    assert [path.name for path in tmp_path.iterdir()] == [state.NAME]


def test_a_running_container_whose_processes_are_gone_is_stopped() -> None:
    written = State("id", Status.RUNNING, state.boot_id(), GONE, GONE)
    seen = written.observed()
    assert seen.status is Status.STOPPED
    assert seen.exit_code == 255
    assert "monitor was killed" in seen.error


def test_a_living_init_keeps_its_container_running() -> None:
    assert (
        State("id", Status.RUNNING, state.boot_id(), GONE, ProcessId.of(os.getpid())).observed().status
        is Status.RUNNING
    )


def test_after_a_reboot_no_container_runs() -> None:
    written = State("id", Status.RUNNING, "another-boot", GONE, ProcessId.of(os.getpid()))
    assert written.observed().error == "the machine was restarted"


def test_a_pid_that_was_given_again_is_not_the_container() -> None:
    mine = ProcessId.of(os.getpid())
    assert mine.alive()
    assert not ProcessId(mine.pid, mine.start_time - 1).alive()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"id": "x", "status": "flying", "boot_id": ""}', '{"status": "running"}']
)
def test_a_damaged_state_is_a_spec_error(tmp_path: Path, text: str) -> None:
    (tmp_path / state.NAME).write_text(text)
    with pytest.raises(SpecError):
        state.load(tmp_path)


def test_a_missing_state_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        state.load(tmp_path)


def test_an_end_written_while_we_look_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = State("id", Status.RUNNING, state.boot_id(), GONE, GONE)
    state.save(tmp_path, running)
    looked_first = State.observed

    def looked_while_the_monitor_wrote(self: State) -> State:
        seen = looked_first(self)
        state.save(tmp_path, dataclasses.replace(running, status=Status.STOPPED, exit_code=137))
        return seen

    monkeypatch.setattr(State, "observed", looked_while_the_monitor_wrote)
    assert state.observe(tmp_path).exit_code == 137
