"""The leak check itself: each kind of thing, left behind on purpose, is seen."""

import os
from collections.abc import Callable

import pytest

from tests.leaks import Snapshot, snapshot

Take = Callable[[], Snapshot]


@pytest.fixture
def take(supervisor_pid: int) -> Take:
    return lambda: snapshot(supervisor_pid)


def test_nothing_done_is_no_difference(take: Take) -> None:
    assert take().difference(take()) == []


def test_an_open_descriptor_is_seen(take: Take) -> None:
    before = take()
    fd = os.open("/dev/null", os.O_RDONLY)
    try:
        assert before.difference(take()) == [f"descriptors: left behind: {fd} -> /dev/null"]
    finally:
        os.close(fd)
