"""The lifecycle widget without a browser, over real containers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from labcontainer.errors import StateError, UsageError
from labcontainer.widgets import LifecycleView
from tests.kernel.conftest import eventually

if TYPE_CHECKING:
    from labcontainer.engine import Engine

pytestmark = pytest.mark.usefixtures("needs_userns")


@pytest.fixture
def life(lab: Engine) -> Iterator[LifecycleView]:
    with LifecycleView(lab.containers.create("lab/base", ["sleep", "600"], name="pet")) as life:
        yield life
        if life.state is not None:
            life.remove(force=True)


def words(life: LifecycleView) -> list[str]:
    life.look()
    return [mark["word"] for mark in life.stage.shown["times"]["marks"]]


@pytest.mark.usefixtures("needs_cgroups")
def test_a_life_from_created_to_removed(life: LifecycleView) -> None:
    assert life.state == "created"
    assert life.verbs["pause"].startswith("cannot pause container pet: it is created")
    life.start()
    assert (life.state, life.look().process[:1]) == ("running", "S")
    life.pause()
    assert life.state == "paused"
    assert life.verbs["exec"].startswith("cannot exec container pet: it is paused; ")
    assert life.verbs["exec"].endswith(": unpause it first")
    assert life.look().freezer[1] in ("FROZEN", "frozen 1")
    life.unpause()
    assert life.exec("false") == 1
    life.stop(0)
    assert life.state == "stopped"
    life.start()
    life.restart(0)
    life.kill()
    life.wait_for("stopped")
    assert eventually(lambda: "exec 1" in words(life))
    told = [word for word in words(life) if word != "exec 1"]
    assert told == ["create", "start", "pause", "unpause", "exec", "SIGTERM", "SIGKILL", "137", "stop",
                    "start", "SIGTERM", "SIGKILL", "137", "start", "restart", "SIGKILL", "137"]  # fmt: skip
    life.remove()
    assert life.look().status is None
    assert life.stage.shown["present"] == "removed"
    assert eventually(lambda: not life._watcher.is_alive())


def test_what_happens_elsewhere_is_shown_without_being_asked(life: LifecycleView) -> None:
    life.start()
    os.kill(life.look().pid, signal.SIGKILL)
    assert eventually(lambda: life.stage.shown["present"] == "stopped")
    subprocess.run([sys.executable, "-m", "labcontainer.cli", "start", "pet"], check=True, capture_output=True,
                   env={**os.environ, "LABCONTAINER_ROOT": str(life.container.directory.parents[1]),
                        "LABCONTAINER_RUN": str(life.container._engine.run)})  # fmt: skip
    assert eventually(lambda: life.stage.shown["present"] == "running")


@pytest.mark.usefixtures("needs_cgroups")
def test_a_freezer_that_somebody_writes_to_by_hand_is_seen(life: LifecycleView) -> None:
    life.start()
    life.container._cgroup("freeze").freeze()
    life.wait_for("paused")
    assert eventually(lambda: life.stage.shown["present"] == "paused")
    life.container._cgroup("thaw").thaw()
    life.wait_for("running")


def test_an_illegal_verb_raises_and_its_sentence_is_shown(life: LifecycleView) -> None:
    with pytest.raises(StateError, match="it is created"):
        life.unpause()
    assert "Cannot unpause container" in life.stage.shown["error"]
    life.start()
    assert life.stage.shown["error"] == ""


def test_a_command_of_the_browser_acts_and_what_is_refused_is_a_sentence(life: LifecycleView) -> None:
    life.stage._handle_custom_msg({"verb": "start", "argument": ""}, [])
    life.wait_for("running")
    life.stage._handle_custom_msg({"verb": "stop", "argument": "soon"}, [])
    assert eventually(lambda: "number of seconds" in life.stage.shown["error"])
    life.stage._handle_custom_msg({"verb": "kill", "argument": "SIGKILL"}, [])
    life.wait_for("stopped")
    with pytest.raises(UsageError):
        life.kill("SIGNOTHING")


def test_a_stop_waits_for_its_grace_period_and_meanwhile_other_verbs_act(life: LifecycleView) -> None:
    life.start()  # sleep is process 1 and handles no SIGTERM: the Linux kernel does not deliver it
    life.stage._handle_custom_msg({"verb": "stop", "argument": "600"}, [])
    assert eventually(lambda: any(verb["busy"] for verb in life.stage.shown["verbs"]))
    life.kill()
    life.wait_for("stopped")
    assert eventually(lambda: not any(verb["busy"] for verb in life.stage.shown["verbs"]))


def test_closing_ends_the_watch_and_leaves_the_container(life: LifecycleView) -> None:
    life.start()
    life.close()
    life.close()
    assert not life._watcher.is_alive()
    assert life.state == "running"


def test_a_command_that_cannot_start_has_its_end_on_the_time_line(lab: Engine) -> None:
    container = lab.containers.create("lab/base", ["no-such-command"])
    with LifecycleView(container) as life:
        with pytest.raises(Exception, match="no-such-command"):
            life.start()
        assert words(life) == ["create", "127"]
        assert "no-such-command" in life.stage.shown["headline"]
    container.remove()
