"""The life of a container as data: observations and events made by hand, as kernel and monitor would give them."""

from __future__ import annotations

import re

import pytest

from labcontainer.runtime import life
from labcontainer.runtime.life import Status
from labcontainer.runtime.request import Restart
from labcontainer.widgets import lifecycle_map as chart
from labcontainer.widgets import lifecycle_model as model
from labcontainer.widgets import lifecycle_times as times
from labcontainer.widgets.lifecycle_model import Observation
from labcontainer.widgets.lifecycle_times import EXITS, SIGNALS, VERBS, Happening

RUNNING = Observation("pet", "lab/base · sleep 60", Status.RUNNING, pid=4711, process="S (sleeping)")
STOPPED = Observation("pet", "lab/base · sleep 60", Status.STOPPED, exit_code=137, finished_ns=3_000_000)


def happened(*actions: str, **attributes: str) -> list[Happening]:
    """So many actions, a millisecond apart."""
    return [Happening(number * 10**6, action, attributes) for number, action in enumerate(actions)]


def shown(seen: Observation, *actions: str) -> model.View:
    return model.view(seen, happened(*actions))


def test_every_edge_of_the_table_is_drawn_and_no_other() -> None:
    assert {(arrow.before, arrow.after) for arrow in chart.arrows()} == set(chart.edges())
    assert set(chart._ROUTES) == set(chart.edges())


def test_the_diagram_has_the_edges_that_graphviz_gets() -> None:
    drawn = {(a.before, a.after) for a in chart.arrows()}
    assert drawn == set(re.findall(r"(\w+) -> (\w+)", life.diagram()))


def test_an_arrow_names_all_that_leads_along_it() -> None:
    arrow = next(a for a in chart.arrows() if (a.before, a.after) == ("running", "stopped"))
    assert (set(arrow.lines), arrow.verbs) == ({"stop", "kill", "ended"}, ("kill", "stop"))


def test_every_arrow_begins_and_ends_at_its_boxes() -> None:
    boxes = {box.state: box for box in chart.boxes()}
    assert set(boxes) == {*Status, "removed"}
    for arrow in chart.arrows():
        [(left, top)] = re.findall(r"^M(\d+) (\d+)", arrow.path)
        box = boxes[arrow.before]
        assert abs(int(left) - box.x) <= chart.BOX_WIDTH / 2, arrow
        assert abs(int(top) - box.y) <= chart.BOX_HEIGHT / 2, arrow
        [(x, y)] = re.findall(r"^M([\d.]+) ([\d.]+)", arrow.head)
        box = boxes[arrow.after]
        assert abs(float(x) - box.x) <= chart.BOX_WIDTH / 2 + 2, arrow
        assert abs(float(y) - box.y) <= chart.BOX_HEIGHT / 2 + 2, arrow


@pytest.mark.parametrize(
    ("path", "corners"),
    [("M0 0 H100", "M103.6 0.0 L91.6 -6.0 L91.6 6.0 z"), ("M5 0 V50", "M5.0 53.6 L11.0 41.6 L-1.0 41.6 z")],
)
def test_an_arrow_points_where_its_path_arrives(path: str, corners: str) -> None:
    assert sorted(re.findall(r"[-\d.]+ [-\d.]+", chart.head(path))) == sorted(re.findall(r"[-\d.]+ [-\d.]+", corners))


@pytest.mark.parametrize("status", list(Status))
def test_a_verb_is_legal_where_the_table_says_so_and_else_gives_the_reason_of_the_error(status: Status) -> None:
    for verb in model.view(Observation("pet", "", status), []).verbs:
        assert verb.legal is (status in life.VERBS[verb.name])
        assert verb.legal or f"cannot {verb.name} container pet: it is {status}" in verb.reason


def test_of_a_removed_container_nothing_can_be_asked() -> None:
    gone = model.view(Observation("pet", "", None), happened("create", "destroy"))
    assert gone.present == "removed"
    assert not any(verb.legal for verb in gone.verbs)
    assert [span.state for span in gone.times.spans] == ["created", "removed"]


def test_only_attach_has_no_button_because_it_needs_a_terminal() -> None:
    assert {verb.name for verb in shown(RUNNING).verbs} == set(life.VERBS) - {"attach"}


def test_a_verb_that_is_being_carried_out_is_busy() -> None:
    assert [verb.name for verb in model.view(RUNNING, [], busy=["stop"]).verbs if verb.busy] == ["stop"]


def test_states_follow_the_events_and_the_last_is_the_kernels() -> None:
    line = shown(RUNNING, "create", "start", "pause", "unpause").times
    assert [span.state for span in line.spans] == ["created", "running", "paused", "running"]
    assert [span.words for span in line.spans] == ["created 1 ms", "running 1 ms", "paused 1 ms", "running"]
    paused = model.view(Observation("pet", "", Status.PAUSED, pid=1), happened("create", "start"))
    assert paused.times.spans[-1].state == "paused"  # whoever wrote to the freezer, no event told of it


def test_where_it_has_come_from_is_the_state_before() -> None:
    assert shown(RUNNING, "create", "start").came_from == "created"
    assert shown(RUNNING).came_from == ""


def test_a_signal_an_end_and_a_verb_have_lanes_of_their_own() -> None:
    happenings = [*happened("create", "start"), *(
        Happening(10**7, "kill", {"signal": "15"}), Happening(2 * 10**7, "die", {"exitCode": "143"}),
    )]  # fmt: skip
    marks = times.time_line(happenings, "stopped").marks
    assert [(mark.lane, mark.word) for mark in marks] == [
        (VERBS, "create"), (VERBS, "start"), (SIGNALS, "SIGTERM"), (EXITS, "143"),
    ]  # fmt: skip
    assert marks[-1].note == "143 = 128 + 15: ended by SIGTERM"


def test_an_exec_is_shown_with_its_command_and_its_own_exit_code() -> None:
    happenings = [*happened("exec_create: ls /", "exec_start: ls /"), Happening(10**7, "exec_die", {"exitCode": "2"})]
    marks = times.time_line(happenings, "running").marks
    assert [(mark.lane, mark.word, mark.note) for mark in marks] == [
        (VERBS, "exec", "exec: ls /"),
        (EXITS, "exec 2", "the command of an exec has ended: 2: its own exit code, and an error by convention"),
    ]


def test_an_end_is_where_the_monitor_saw_it_and_not_where_the_event_was_written() -> None:
    happenings = [*happened("create", "start", "kill"), Happening(9_000_000, "die", {"exitCode": "137"})]
    assert model.completed(STOPPED, happenings)[-1].time_ns == 3_000_000


def test_a_command_that_could_not_start_has_an_end_although_no_event_tells_of_it() -> None:
    failed = Observation("pet", "", Status.STOPPED, exit_code=127, error="no such command", finished_ns=5_000_000)
    view = model.view(failed, happened("create"))
    assert [mark.word for mark in view.times.marks] == ["create", "127"]
    assert view.headline == "It is stopped: no such command."


def test_a_policy_that_starts_again_is_seen_between_an_end_and_a_start() -> None:
    ended = [
        Happening(number, action, {"exitCode": "1"}) for number, action in enumerate(("start", "die", "start", "die"))
    ]
    states = [span.state for span in times.time_line(ended, "stopped", policy=Restart("on-failure", 1)).spans]
    assert states == ["running", "restarting", "running", "stopped"]


def test_who_has_stopped_it_is_not_overruled_by_the_policy() -> None:
    actions = {"start": {}, "kill": {"signal": "15"}, "die": {"exitCode": "143"}}
    ended = [Happening(number, *each) for number, each in enumerate(actions.items())] + [Happening(3, "start", {})]
    states = [span.state for span in times.time_line(ended, "running", policy=Restart("always")).spans]
    assert states == ["running", "stopped", "running"]


def test_a_longer_wait_is_wider_and_no_label_stands_on_another() -> None:
    quick, slow = (
        times.time_line([Happening(0, "create", {}), Happening(wait, "start", {})], "running").marks[1].left
        for wait in (10**6, 60 * 10**9)
    )
    assert 100 < quick < slow < 300


def test_of_many_happenings_the_newest_are_kept_and_the_others_counted() -> None:
    many = happened("create", *("start", "die") * 50)
    line = times.time_line(many, "stopped")
    assert len(line.marks) == times.MOST_MARKS
    assert line.earlier == len(many) - times.MOST_MARKS
    assert all(span.left >= 0 and span.width > 0 for span in line.spans)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(5_000, "5 µs"), (12_400_000, "12 ms"), (3_400_000_000, "3.4 s"), (95 * 10**9, "95 s"), (600 * 10**9, "10 min"),
     (10**13, "3 h")],
)  # fmt: skip
def test_a_duration_is_told_in_the_unit_that_suits_it(nanoseconds: int, text: str) -> None:
    assert times.duration(nanoseconds) == text


@pytest.mark.parametrize(
    ("code", "part"),
    [(0, "well"), (3, "its own"), (125, "the engine"), (126, "cannot be executed"), (127, "no such command"),
     (137, "SIGKILL"), (143, "SIGTERM"), (255, "its own")],
)  # fmt: skip
def test_an_exit_code_is_explained(code: int, part: str) -> None:
    assert part in times.exit_meaning(code)


def test_out_of_memory_is_told_from_a_kill() -> None:
    assert "out of memory" in times.exit_meaning(137, oom=True)
    assert (
        "out of memory" in model.view(Observation("p", "", Status.STOPPED, exit_code=137, oom_killed=True), []).headline
    )


def test_the_page_without_a_kernel_has_the_picture_the_facts_and_the_events() -> None:
    page = model.html(shown(RUNNING, "create", "start"))
    assert "data:image/svg+xml;base64," in page
    assert "State: S (sleeping)" in page
    assert "its command runs" in page
    assert ">● running</text>" in model.svg(shown(RUNNING))


def test_a_container_name_is_never_html() -> None:
    assert "<b>" not in model.html(model.view(Observation("<b>", "<b>", Status.RUNNING), []))


def test_the_text_says_the_same_on_every_machine() -> None:
    assert model.text() == "LifecycleView: the states, verbs and time line of one container"
