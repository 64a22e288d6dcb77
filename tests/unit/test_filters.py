from __future__ import annotations

import pytest

from labcontainer.engine import events, filters
from labcontainer.errors import UsageError

DIE = {
    "Type": "container", "Action": "die", "scope": "local", "time": 1, "timeNano": 10**9,
    "Actor": {"ID": "4f5cabcd", "Attributes": {"image": "lab/base:1", "name": "pet", "stage": "test", "exitCode": "0"}},
}  # fmt: skip


def fits(**given: str | list[str]) -> bool:
    return events.fits(DIE, filters.parse(given, events.FILTERS))


def test_values_of_one_name_are_alternatives_and_all_names_must_fit() -> None:
    assert fits(event=["start", "die"])
    assert not fits(event="start")
    assert not fits(event="die", container="other")
    assert fits()


def test_a_container_is_meant_by_the_beginning_of_its_id_or_name() -> None:
    assert fits(container="4f5c")
    assert fits(container="pet")
    assert not fits(container="f5c")


def test_of_labels_all_must_fit() -> None:
    assert fits(label=["stage", "exitCode=0"])
    assert not fits(label=["stage", "stage=prod"])


def test_an_image_is_meant_with_or_without_its_tag() -> None:
    assert fits(image="lab/base:1")
    assert fits(image="lab/base")
    assert not fits(image="lab/base:2")


def test_an_action_that_carries_a_command_is_meant_by_its_first_word() -> None:
    executed = {**DIE, "Action": "exec_start: sh -c true"}
    assert events.fits(executed, filters.parse({"event": "exec_start"}, events.FILTERS))
    assert not events.fits(executed, filters.parse({"event": "exec"}, events.FILTERS))


def test_a_filter_that_is_not_known_is_refused() -> None:
    with pytest.raises(UsageError, match="colour"):
        filters.parse({"colour": "red"}, events.FILTERS)
