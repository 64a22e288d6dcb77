"""Every verb on a real container in every state: what the table allows is done, the rest is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from labcontainer.engine import Container, Engine
from labcontainer.errors import NotFound, StateError
from labcontainer.runtime import life
from labcontainer.runtime.life import VERBS, Status
from tests.leaks import SLOW

# "creating" passes by itself: nobody meets a container in it.
STATES = [status for status in Status if status is not Status.CREATING]
ACTS: dict[str, Callable[[Container], object]] = {
    "start": Container.start,
    "exec": lambda container: container.exec_run(["true"]),
    "pause": Container.pause,
    "unpause": Container.unpause,
    "kill": Container.kill,
    "stop": lambda container: container.stop(timeout=0),
    "restart": lambda container: container.restart(timeout=0),
    "attach": lambda container: container.attach().close(),
    "remove": Container.remove,
}
LEGAL = [(verb, status) for verb, row in VERBS.items() for status in row]

pytestmark = pytest.mark.usefixtures("needs_cgroups")


@pytest.fixture
def made_in(engine: Engine) -> Iterator[Callable[[Status], Container]]:
    made: list[Container] = []

    def make(status: Status) -> Container:
        again = {"Name": "always"} if status is Status.RESTARTING else None
        command = ["true"] if again else ["sleep", "60"]
        container = engine.containers.create("lab/base", command, restart_policy=again)
        made.append(container)
        if status is not Status.CREATED:
            container.start()
        if status is Status.PAUSED:
            container.pause()
        if status is Status.STOPPED:
            container.kill()
            container.wait(timeout=10 * SLOW)
        if status is Status.RESTARTING:
            # From the sixth time on the pause is long enough to be met in.
            until(lambda: container.state.status is status and container.state.restarts > 5)
        return container

    yield make
    for container in made:
        with suppress(NotFound):
            container.remove(force=True)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30 * SLOW
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_there_is_an_act_for_each_verb_of_the_table() -> None:
    assert set(ACTS) == set(VERBS)


@pytest.mark.parametrize("status", STATES)
def test_a_verb_that_the_table_does_not_have_is_refused_and_changes_nothing(
    status: Status, made_in: Callable[[Status], Container]
) -> None:
    container = made_in(status)
    before = container.state
    for verb in (verb for verb in VERBS if status not in VERBS[verb]):
        with pytest.raises(StateError) as refused:
            ACTS[verb](container)
        assert (refused.value.id, refused.value.state, refused.value.verb) == (container.id, status, verb)
        assert f"it is {status}; that is for a container that is {' or '.join(VERBS[verb])}" in str(refused.value)
    assert container.state == before


@pytest.mark.parametrize(("verb", "status"), LEGAL, ids=str)
def test_a_verb_that_the_table_has_leads_where_it_says(
    verb: str, status: Status, made_in: Callable[[Status], Container], engine: Engine
) -> None:
    container = made_in(status)
    ACTS[verb](container)
    after = life.after(verb, status)
    if after is None:
        assert container not in engine.containers.list(all=True)
    elif status is Status.RESTARTING and after is Status.RUNNING:
        assert container.state.restarts <= 5  # begun anew; what it runs ends at once
    else:
        until(lambda: container.state.status is after)
