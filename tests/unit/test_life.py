"""The table of a container's life: what it allows, what it refuses, and how it says so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from labcontainer.errors import StateError
from labcontainer.runtime import life, restart
from labcontainer.runtime.life import EVENTS, VERBS, Status
from labcontainer.runtime.request import Restart
from labcontainer.runtime.state import State


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("status", Status)
def test_a_verb_is_allowed_where_the_table_has_it_and_refused_elsewhere(verb: str, status: Status) -> None:
    if status in VERBS[verb]:
        life.check("c0ffee", verb, status)
        return
    with pytest.raises(StateError, match=f"cannot {verb} container c0ffee: it is {status}") as caught:
        life.check("c0ffee", verb, status)
    assert (caught.value.state, caught.value.verb) == (status, verb)
    assert f"that is for a container that is {' or '.join(VERBS[verb])}" in str(caught.value)


def test_every_state_can_be_reached_and_left() -> None:
    rows: list[Mapping[Status, Status | None]] = [*VERBS.values(), *EVENTS.values()]
    after = {state for row in rows for state in row.values()}
    before = {state for row in rows for state in row}
    assert after - {None} == set(Status) - {Status.CREATING}
    assert before == set(Status)


def test_the_diagram_has_an_edge_for_each_change() -> None:
    lines = life.diagram().splitlines()
    assert '    running -> paused [label="pause"]' in lines
    assert '    stopped -> removed [label="remove"]' in lines
    assert not [line for line in lines if "exec" in line]  # it changes nothing


def test_the_diagram_of_the_documentation_is_the_one_that_is_drawn() -> None:
    text = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text()
    assert f"```mermaid\n{life.mermaid()}```" in text


@pytest.mark.parametrize(
    ("policy", "exit_code", "restarts", "halted", "wanted"),
    [
        (Restart(), 1, 0, False, False),
        (Restart("always"), 0, 99, False, True),
        (Restart("always"), 0, 0, True, False),
        (Restart("unless-stopped"), 0, 0, False, True),
        (Restart("on-failure"), 0, 0, False, False),
        (Restart("on-failure"), 1, 99, False, True),
        (Restart("on-failure", 3), 1, 2, False, True),
        (Restart("on-failure", 3), 1, 3, False, False),
    ],
)
def test_a_policy_starts_again_what_it_names(
    policy: Restart, exit_code: int, restarts: int, halted: bool, wanted: bool
) -> None:
    assert policy.wants(exit_code, restarts, halted=halted) is wanted


def test_the_pause_doubles_up_to_a_minute_and_begins_again_after_ten_seconds() -> None:
    def pause(restarts: int, ran_s: int = 0) -> float:
        state = State("id", Status.STOPPED, "", started_ns=1, finished_ns=1 + ran_s * 10**9, restarts=restarts)
        return restart.pause_s(state)

    assert [pause(0), pause(1), pause(2), pause(50)] == [0.1, 0.2, 0.4, 60.0]
    assert pause(50, ran_s=10) == 0.1
