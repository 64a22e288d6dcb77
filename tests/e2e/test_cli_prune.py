"""The verbs that give a container another name, and that remove what nobody uses."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from labcontainer.errors import Conflict, UsageError

if TYPE_CHECKING:
    from labcontainer.engine import Engine
    from tests.e2e.conftest import Lab

ASKED = "WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] "


@pytest.fixture
def four(engine: Engine, lab: Lab) -> dict[str, str]:
    """The ids of one that runs, two that have ended and one that was only made."""
    run = engine.containers.run
    made = [
        run("lab/base", ["sleep", "60"], name="web", detach=True),
        run("lab/base", ["sh", "-c", "printf %1000d 1 > /f"], name="job", detach=True, labels={"stage": "test"}),
        run("lab/base", ["true"], name="other", detach=True, labels={"stage": "prod"}),
        engine.containers.create("lab/base", "true", name="idle"),
    ]
    for each in made[1:3]:
        each.wait(timeout=30)
    return {each.name: each.id for each in made}


def left(engine: Engine) -> set[str]:
    return {each.name for each in engine.containers.list(all=True)}


def answer(lab_call: dict[str, Any], said: str, *words: str) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in lab_call.items() if name != "stdin"}
    command = [sys.executable, "-m", "labcontainer.cli", *words]
    return subprocess.run(command, input=said, capture_output=True, check=False, **given)


@pytest.mark.parametrize("said", ["", "n\n", "no\n", "\n", "yes\n"])
@pytest.mark.usefixtures("four")
def test_prune_without_a_yes_removes_nothing(engine: Engine, lab_call: dict[str, Any], said: str) -> None:
    done = answer(lab_call, said, "container", "prune")
    assert (done.returncode, done.stdout, done.stderr) == (0, ASKED, "")
    assert left(engine) == {"web", "job", "other", "idle"}


def test_prune_removes_what_does_not_run_and_tells_how_much(
    engine: Engine, lab_call: dict[str, Any], four: dict[str, str]
) -> None:
    done = answer(lab_call, "y\n", "container", "prune")
    head, *ids = done.stdout.removeprefix(ASKED).splitlines()
    assert (done.returncode, head) == (0, "Deleted Containers:")
    assert ids[-2:] == ["", "Total reclaimed space: 1kB"]
    assert set(ids[:-2]) == {four[name] for name in ("job", "other", "idle")}
    assert left(engine) == {"web"}
    happened = list(engine.events(since=0, until=time.time(), filters={"event": "prune"}, decode=True))
    assert [each["Actor"]["Attributes"] for each in happened] == [{"reclaimed": "1000"}]


@pytest.mark.parametrize(
    ("filters", "remaining"),
    [
        (("label=stage",), {"web", "idle"}),
        (("label=stage=test",), {"web", "other", "idle"}),
        (("label!=stage",), {"web", "job", "other"}),
        (("until=1h",), {"web", "job", "other", "idle"}),
        (("until=0s", "label!=stage=prod"), {"web", "other"}),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("four")
def test_prune_removes_those_alone_that_fit(
    engine: Engine, lab: Lab, filters: tuple[str, ...], remaining: set[str]
) -> None:
    words = [word for text in filters for word in ("--filter", text)]
    assert lab("container", "prune", "-f", *words).returncode == 0
    assert left(engine) == remaining


@pytest.mark.usefixtures("four")
def test_prune_refuses_filters_that_it_does_not_know(engine: Engine, lab: Lab) -> None:
    for words in (["status=exited"], ["until=x"], ["until=1h", "--filter", "until=2h"]):
        done = lab("container", "prune", "-f", "--filter", *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert "Traceback" not in done.stderr
    assert left(engine) == {"web", "job", "other", "idle"}


def test_prune_leaves_what_is_just_being_started(engine: Engine) -> None:
    container, connection = engine.containers.open("lab/base", ["true"], name="new")
    try:
        assert engine.containers.prune()["ContainersDeleted"] == []
        connection.attach()
        connection.start()
        connection.pump(lambda stream, data: None)
    finally:
        connection.close()
    container.wait(timeout=30)
    assert engine.containers.prune()["ContainersDeleted"] == [container.id]


def test_a_container_that_runs_gets_another_name(engine: Engine, lab: Lab) -> None:
    container = engine.containers.run("lab/base", ["sleep", "60"], name="old", detach=True)
    engine.containers.create("lab/base", "true", name="taken")
    assert (lab("rename", "old", "new").stdout, container.name) == ("", "new")
    assert lab("container", "rename", container.id[:8], "/old").returncode == 0  # inspect has that slash
    assert container.name == "old"
    for wanted, error in (("taken", Conflict), ("old", UsageError), ("!", UsageError), ("", UsageError)):
        with pytest.raises(error):
            container.rename(wanted)
    refused = lab("rename", "old", "taken")
    assert (refused.returncode, "exists already" in refused.stderr) == (1, True)
    assert (container.name, container.status) == ("old", "running")
    happened = engine.events(since=0, until=time.time(), filters={"event": "rename"}, decode=True)
    assert [each["Actor"]["Attributes"]["oldName"] for each in happened] == ["/old", "/new"]


def test_a_container_without_ports_has_none_to_tell(engine: Engine, lab: Lab) -> None:
    engine.containers.create("lab/base", "true", name="pet")
    assert (lab("port", "pet").stdout, lab("port", "pet").returncode) == ("", 0)
    for word, reason in (("80", "no such published port: 80"), ("x", "port cannot be 'x'")):
        done = lab("port", "pet", word)
        assert (done.returncode, done.stdout, reason in done.stderr) == (1, "", True)


def test_the_exit_code_of_run_is_the_same_below_its_noun(lab: Lab) -> None:
    assert lab("container", "run", "--rm", "lab/base", "sh", "-c", "exit 7").returncode == 7
    assert lab("container", "run", "--rm", "no/such-image").returncode == 125
    assert lab("container", "logs", "run").returncode == 1
