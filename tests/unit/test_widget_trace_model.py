"""The trace view as data: events made by hand, placed in lanes and on a scale of time."""

from pathlib import Path

import pytest

from labcontainer.errors import NotFound
from labcontainer.kernel.trace import Event
from labcontainer.widgets import trace_model as model
from labcontainer.widgets.timeaxis import Axis


def event(call: str, start_usec: int, *, role: str = "init", pid: int = 9, errno: str | None = None,
          file: str = "/x/labcontainer/kernel/mount.py", line: int = 2, duration_usec: int = 10) -> Event:  # fmt: skip
    return Event(
        start_ns=start_usec * 1000, duration_ns=duration_usec * 1000, pid=pid, role=role, call=call,
        arguments=(("target", '"/mnt"'), ("flags", "MS_BIND|MS_REC")), result=-1 if errno else 0, errno=errno,
        file=file, line=line, function="execute", step="root", why="because",
    )  # fmt: skip


def test_calls_stand_in_the_order_in_which_they_began() -> None:
    shown = model.view([event("mount", 50), event("clone3", 20, role="monitor", pid=7)])
    assert [call.call for call in shown.calls] == ["clone3", "mount"]
    assert [(lane.role, lane.pid, lane.calls) for lane in shown.lanes] == [("monitor", 7, 1), ("init", 9, 1)]
    assert [call.lane for call in shown.calls] == [0, 1]
    assert shown.calls[0].start_usec == 0


def test_one_process_that_changes_its_role_has_two_lanes() -> None:
    assert len(model.view([event("fork", 0, role="zygote"), event("mount", 5, role="monitor")]).lanes) == 2


def test_a_call_carries_its_decoded_arguments_and_where_it_was_made() -> None:
    (call,) = model.view([event("mount", 0)]).calls
    assert call.signature == 'mount(target="/mnt", flags=MS_BIND|MS_REC)'
    assert (call.where, call.family, call.result) == ("labcontainer/kernel/mount.py:2", "mount", "0")


def test_a_failed_call_says_what_the_errno_means() -> None:
    shown = model.view([event("mount", 0, errno="EPERM")])
    assert shown.calls[0].result == "-1 EPERM (Operation not permitted)"
    assert shown.summary == "1 call by 1 process in 10 µs, 1 of them failed"


def test_an_execve_that_succeeds_has_neither_a_result_nor_a_duration() -> None:
    told = event("execve", 0, duration_usec=0)
    failed = event("execve", 5, errno="ENOENT")
    first, second = model.view([told, failed]).calls
    assert (first.returned, first.result.partition(":")[0]) == (False, "none")
    assert (second.returned, second.failed) == (True, True)
    assert "–" in model.html(model.view([told]))


def test_no_events_are_no_error() -> None:
    shown = model.view([])
    assert shown.summary == "No calls were recorded"
    assert "No calls" in model.html(shown)
    assert model.text(shown) == "TraceView: system calls of nobody"


def test_opening_what_is_not_there_says_what_is() -> None:
    with pytest.raises(NotFound, match="calls 0 to 0"):
        model.find(model.view([event("mount", 0)]), 1)


def test_the_source_is_read_around_the_line(tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    file.write_text("".join(f"line {number}\n" for number in range(1, 21)))
    source = model.source(event("mount", 0, file=str(file), line=10))
    assert (source.first, source.lines[0], source.lines[-1]) == (6, "line 6", "line 14")
    assert model.source(event("mount", 0, file=str(file), line=1)).first == 1


def test_a_source_that_is_gone_is_said_to_be() -> None:
    assert model.source(event("mount", 0, file="/no/such/file.py")).error


def test_the_page_without_a_kernel_has_a_row_for_each_call() -> None:
    html = model.html(model.view([event("mount", 0), event("umount2", 20)]))
    assert html.count("<tr>") == 3
    assert "MS_BIND|MS_REC" in html


def test_without_long_pauses_the_scale_is_true() -> None:
    axis = Axis.of([(0, 10), (12, 8)])
    assert axis.pauses == ()
    assert [axis.place(time) for time in (0, 10, 20)] == [0, 0.5, 1]


def test_a_long_pause_is_cut_and_the_ends_stay() -> None:
    axis = Axis.of([(0, 10), (1000, 10)])
    assert axis.pauses == ((10, 990),)
    assert axis.place(0) == 0
    assert axis.place(1010) == pytest.approx(1)
    assert axis.span(0, 10) == pytest.approx(axis.span(1000, 10))
    assert axis.span(10, 990) == pytest.approx(0.05)


def test_places_never_go_backwards() -> None:
    axis = Axis.of([(0, 3), (50, 1), (400, 2), (401, 30)])
    places = [axis.place(time) for time in range(432)]
    assert places == sorted(places)


def test_calls_that_take_no_time_have_a_place() -> None:
    assert Axis.of([(0, 0)]).place(0) == 0
