"""The cgroup dashboard as data: readings made by hand, as the Linux kernel would count."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import pytest

from labcontainer.errors import UsageError
from labcontainer.kernel.cgroup import Events, Limits, Machine, Pressure, Usage
from labcontainer.kernel.cgroup.usage import Stall
from labcontainer.widgets import dashboard_charts, dashboard_scales
from labcontainer.widgets import dashboard_model as model
from labcontainer.widgets.dashboard_marks import marks
from labcontainer.widgets.dashboard_model import Track
from labcontainer.widgets.reading import File, Reading

MIB = 1 << 20
MACHINE = Machine(frozenset({0, 1}), frozenset({0}), 8 << 30)
SCALES = dashboard_scales.scales(MACHINE)
V1 = {"total_rss": 30 * MIB, "total_cache": 14 * MIB, "total_shmem": 4 * MIB, "rss": 1, "cache": 2}
V2 = {"anon": 30 * MIB, "file": 14 * MIB, "shmem": 4 * MIB}
LIMITS = Limits(
    memory_bytes=64 * MIB, cpu_quota_usec=50_000, cpu_period_usec=100_000, pids_max=16, cpu_shares=1024
)  # fmt: skip


def reading(at_s: float = 0.0, *, limits: Limits = LIMITS, events: Events = Events(), **usage: int) -> Reading:
    told = {"memory_bytes": 48 * MIB, "cpu_usec": 0, "cpu_periods": 0, "cpu_throttled": 0, "pids": 3, **usage}
    stalls = {name: Pressure(Stall(total_usec=usage.get("cpu_usec", 0) // 2), Stall()) for name in ("memory", "cpu")}
    files = {"memory limit": File("/sys/fs/cgroup/x/memory.max", "67108864")}
    return Reading(at_s, 1e9 + at_s, Usage(memory_stat=V2, **told), events, limits, stalls, files)  # type: ignore[arg-type]


def watched(*readings: Reading) -> Track:
    return reduce(lambda track, one: model.grown(track, one, SCALES), readings, Track("a" * 64, "box"))


def shown(*readings: Reading) -> model.View:
    return model.view([watched(*readings)], "a" * 64, SCALES)


def chart(view: model.View, name: str) -> dashboard_charts.Chart:
    return next(each for each in view.charts if each.name == name)


@pytest.mark.parametrize("stat", [V1, V2])
def test_memory_is_split_by_what_could_be_done_about_it_on_either_version(stat: dict[str, int]) -> None:
    found = dashboard_charts.parts(Usage(memory_bytes=48 * MIB, memory_stat=stat))
    assert (found.kept, found.cache, found.kernel) == (34 * MIB, 10 * MIB, 4 * MIB)


def test_what_is_counted_upwards_is_shown_as_its_growth() -> None:
    view = shown(
        reading(10, cpu_usec=0),
        reading(12, cpu_usec=1_000_000, cpu_periods=20, cpu_throttled=15),
    )
    assert view.times == (-2.0, 0.0)
    assert chart(view, "cpu").series[0].values == (None, 0.5)
    assert chart(view, "cpu").limit == (0.5, 0.5)
    assert chart(view, "cpu").says == "0.50 of 0.50"
    assert chart(view, "throttling").series[0].values == (None, 75.0)
    assert [each.values[-1] for each in chart(view, "pressure").series] == [25.0, 25.0]


def test_a_limit_that_is_far_away_is_told_and_does_not_press_the_picture_flat() -> None:
    near, far = chart(shown(reading()), "memory"), chart(shown(reading(memory_bytes=2 * MIB)), "memory")
    assert near.top > 64 * MIB
    assert near.note == ""
    assert far.top < 3 * MIB
    assert far.note == "The limit, 64 MiB, is far above the picture."
    free = chart(shown(reading(limits=replace(LIMITS, memory_bytes=-1))), "memory")
    assert (free.limit, free.says) == ((None,), "48 MiB, no limit")


def test_what_the_host_does_not_count_is_left_out_or_said() -> None:
    bare = Reading(0, 0, Usage(memory_bytes=MIB), Events(), Limits(memory_bytes=-1))
    view = shown(bare)
    assert [each.name for each in view.charts] == ["memory", "pressure"]
    assert "does not measure pressure" in chart(view, "pressure").note
    assert [each.name for each in view.sliders] == ["memory"]


def test_counts_that_have_grown_are_events_and_so_is_a_new_limit() -> None:
    met = Events(memory_max=5, oom_kill=1, pids_max=2, throttled=4)
    now = reading(1, events=met, limits=replace(LIMITS, memory_bytes=-1), cpu_periods=5)
    found = marks([reading(0), now], tuple(SCALES.values()))
    assert [(each.chart, each.kind, each.is_line) for each in found] == [
        ("memory", "limit memory", True), ("memory", "oom", True), ("memory", "full", False),
        ("cpu", "throttled", False), ("pids", "refused", False),
    ]  # fmt: skip
    words = [each.words for each in found]
    assert words[0] == "Memory: 64 MiB → no limit"
    assert words[1] == "Out of memory: 1 process killed"
    assert words[3] == "CPU quota used up: stopped in 4 of 5 periods"
    assert words[4] == "Process limit met: 2 forks refused"
    assert marks([now, now], tuple(SCALES.values())) == ()


def test_the_log_has_the_beginning_of_an_episode_and_every_change() -> None:
    view = shown(*(reading(at, events=Events(throttled=at)) for at in range(4)), reading(9, events=Events(throttled=9)))
    assert [each.words.split(":")[0] for each in view.moments] == ["CPU quota used up"] * 2
    assert len(view.marks) == 4


def test_only_the_last_minute_is_kept_and_shown() -> None:
    track = watched(*(reading(at) for at in range(0, 200, 10)))
    assert len(track.readings) == 7
    assert model.view([track], track.id, SCALES).times[0] == -60.0


def test_a_container_that_was_killed_for_memory_ends_with_an_event() -> None:
    track = model.ended(watched(reading()), "ended, exit code 137", oom_killed=True)
    view = model.view([track], track.id, SCALES, sampling=True)
    assert (view.ended, view.sampling, view.status) == (True, False, "ended, exit code 137")
    assert [(each.kind, each.is_line) for each in view.marks] == [("oom", True)]
    assert model.ended(track, "again", oom_killed=True) == track
    assert not model.grown(track, reading(1), SCALES).ended


def test_a_slider_stands_at_its_limit_or_at_the_stop_below_it() -> None:
    memory, cpus = SCALES["memory"], SCALES["cpus"]
    assert memory.stops[0] == 6 * MIB
    assert memory.stops[-2:] == (8 << 30, -1)
    assert memory.value(memory.stop(64 * MIB)) == 64 * MIB
    assert memory.value(memory.stop(70 * MIB)) == 64 * MIB
    assert memory.stop(-1) == len(memory.stops) - 1
    assert cpus.stops[-2:] == (2 * 10**9, -1)
    assert [scale.words(-1) for scale in (memory, cpus)] == ["no limit"] * 2
    assert SCALES["weight"].words(1024) == "1024 (usual)"
    with pytest.raises(UsageError, match="the stops 0 to"):
        memory.value(len(memory.stops))


def test_every_stop_rises_and_stands_where_it_says() -> None:
    for scale in SCALES.values():
        finite = [each for each in scale.stops if each != -1]
        assert finite == sorted(set(finite)), scale.name
        assert [scale.stop(each) for each in scale.stops] == list(range(len(scale.stops))), scale.name


def test_a_slider_names_the_file_of_this_host_and_what_it_says() -> None:
    memory, cpus, *_ = shown(reading()).sliders
    assert (memory.file, memory.says, memory.words) == ("memory.max", "67108864", "64 MiB")
    assert (cpus.words, cpus.file) == ("0.5", "")


def test_the_page_without_a_kernel_has_the_last_readings() -> None:
    html = model.html(shown(reading(), reading(1, events=Events(oom_kill=2))))
    for text in ("box", "memory.max", "67108864", "48 MiB of 64 MiB", "✕ Out of memory: 2 processes killed"):
        assert text in html
    refused = model.view([Track("a", "box")], "a", SCALES, error="No cgroup <here>.")
    assert "No cgroup &lt;here&gt;." in model.html(refused)


def test_the_text_says_the_same_on_every_machine() -> None:
    assert model.text(1) == "CgroupDashboard: limits and use of 1 container"
    assert model.text(2) == "CgroupDashboard: limits and use of 2 containers"
