from __future__ import annotations

import os
from pathlib import Path

import pytest

from labcontainer.errors import KernelError
from labcontainer.kernel import file, namespaces, process, trace
from labcontainer.kernel.trace import Event


def test_a_call_is_recorded_with_its_error_its_line_and_its_why(tmp_path: Path) -> None:
    with trace.recording() as events, trace.step("look", "nothing is there"), pytest.raises(KernelError):
        file.read(tmp_path / "absent")
    (event,) = events
    assert (event.call, event.errno, event.step, event.why) == ("read", "ENOENT", "look", "nothing is there")
    assert event.file == __file__
    assert event.function == "test_a_call_is_recorded_with_its_error_its_line_and_its_why"
    assert event.pid == os.getpid()
    assert event.duration_ns > 0


def test_without_a_reason_the_first_line_of_the_documentation_is_given() -> None:
    with trace.recording() as events, pytest.raises(KernelError):
        namespaces.setns(-1)
    assert events[0].why.startswith("Join the namespace")
    assert str(events[0]) == "setns(fd=-1, nstype=0) = -1 EBADF"


def test_off_nothing_is_recorded(tmp_path: Path) -> None:
    with trace.recording() as events:
        pass
    (tmp_path / "x").touch()
    file.read(tmp_path / "x")
    assert events == []
    assert not trace.active()


def test_two_recorders_both_hear_a_call(tmp_path: Path) -> None:
    with trace.recording() as outer, trace.recording() as inner:
        file.mkdir(tmp_path / "d")
    assert outer == inner != []


def test_an_event_survives_the_file_that_children_write(tmp_path: Path) -> None:
    with trace.recording() as events:
        file.mkdir(tmp_path / "d")
    line = events[0].to_json().encode()
    assert trace.read([line + b"\n", line[:20]]) == (events[0],)
    assert Event.from_json(line) == events[0]


def test_events_of_several_processes_are_put_in_the_order_of_their_beginning(tmp_path: Path) -> None:
    with trace.recording() as events:
        for name in "abc":
            file.mkdir(tmp_path / name)
    assert trace.merge(events[1:], events[:1]) == tuple(events)


def test_what_never_returns_is_told_before_it_and_once() -> None:
    with trace.recording() as events, pytest.raises(KernelError, match="ENOENT"):
        process.execve("/no/such/program", ["program"], {})
    assert [event.result for event in events] == [None, -1]
    assert [str(event) for event in trace.merge(events)] == [
        'execve(pathname="/no/such/program", argv=["program"], envp=[]) = -1 ENOENT'
    ]
    assert str(trace.merge(events[:1])[0]).endswith("= ?")


def test_a_child_leaves_the_step_of_its_parent(tmp_path: Path) -> None:
    with trace.recording() as events, trace.step("parent's", "a fork is no end of a with block"):
        trace.become(trace.Role.CHILD)
        file.mkdir(tmp_path / "d")
        trace.become(trace.Role.ENGINE)
    assert (events[0].role, events[0].step, events[0].why) == ("child", "", "Make the directory `path`")


def test_an_error_of_a_write_names_the_path_and_the_data(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match=r'write\(path=".*absent", data="64"\): ENOENT'):
        file.write(tmp_path / "absent", "64")
