"""The cgroup dashboard as data: sliders, charts and events of one of several containers.

Nothing here asks the Linux kernel anything: `view` turns readings that were taken into what is shown.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os.path import basename

from labcontainer.widgets import page
from labcontainer.widgets.dashboard_charts import Chart, charts
from labcontainer.widgets.dashboard_marks import Mark, episodes, marks
from labcontainer.widgets.dashboard_scales import Scale, limit
from labcontainer.widgets.reading import Reading

WINDOW_S = 60.0
_EPISODE_S = 5.0
_MOMENTS = 8
_MARKS = 400  # more than can be in sight


@dataclass(frozen=True, slots=True)
class Track:
    """One container: its last readings, the oldest first, what happened, and in words what it does."""

    id: str
    name: str
    readings: tuple[Reading, ...] = ()
    marks: tuple[Mark, ...] = ()
    status: str = ""
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """A container to choose."""

    id: str
    name: str
    status: str
    ended: bool
    chosen: bool


@dataclass(frozen=True, slots=True)
class Slider:
    """One limit: where its slider stands, what the stops are, and the file of this host that holds it."""

    name: str
    title: str
    keyword: str
    stop: int
    stops: tuple[str, ...]
    values: tuple[int, ...]
    words: str
    file: str
    path: str
    says: str


@dataclass(frozen=True, slots=True)
class Moment:
    """An event of the log."""

    clock: str
    sign: str
    tone: str
    words: str


@dataclass(frozen=True, slots=True)
class View:
    """All that the widget shows. `times` are seconds before the last reading; `marks` stand at such times, too."""

    choices: tuple[Choice, ...]
    status: str
    ended: bool
    sampling: bool
    times: tuple[float, ...]
    window_s: float
    charts: tuple[Chart, ...]
    marks: tuple[Mark, ...]
    sliders: tuple[Slider, ...]
    moments: tuple[Moment, ...]
    error: str


def grown(track: Track, reading: Reading, scales: Mapping[str, Scale]) -> Track:
    """`track` with one reading more, and without what is out of sight by now."""
    found = marks((*track.readings[-1:], reading), tuple(scales.values()))
    kept = tuple(each for each in track.readings if reading.at_s - each.at_s <= WINDOW_S)
    return replace(track, readings=(*kept, reading), marks=(*track.marks, *found)[-_MARKS:], ended=False)


def ended(track: Track, status: str, *, oom_killed: bool = False) -> Track:
    """`track` of a container that runs no longer; an end for want of memory is an event."""
    if track.ended:
        return track
    found = track.marks
    if oom_killed and track.readings:
        last = track.readings[-1]
        words = "Out of memory: the container's first process was killed, and that is its end"
        found = (*found, Mark(last.at_s, last.clock_s, "memory", "oom", "✕", "red", words, True))
    return replace(track, marks=found, status=status, ended=True)


def view(
    tracks: Sequence[Track], chosen: str, scales: Mapping[str, Scale], *, sampling: bool = False, error: str = ""
) -> View:
    """What to show of the container whose id is `chosen`."""
    track = next((each for each in tracks if each.id == chosen), Track("", ""))
    last_s = track.readings[-1].at_s if track.readings else 0.0
    news = episodes(track.marks, _EPISODE_S)
    return View(
        choices=tuple(Choice(e.id, e.name, e.status, e.ended, e.id == chosen) for e in tracks),
        status=track.status,
        ended=track.ended,
        sampling=sampling and not track.ended,
        times=tuple(round(each.at_s - last_s, 2) for each in track.readings),
        window_s=WINDOW_S,
        charts=charts(track.readings),
        marks=tuple(replace(m, at_s=round(m.at_s - last_s, 2)) for m in track.marks if last_s - m.at_s <= WINDOW_S),
        sliders=_sliders(track, scales),
        moments=tuple(_moment(mark) for mark in reversed(news[-_MOMENTS:])),
        error=error,
    )


def text(number_of_containers: int) -> str:
    """The widget as one line that is the same on every machine."""
    plural = "" if number_of_containers == 1 else "s"
    return f"CgroupDashboard: limits and use of {number_of_containers} container{plural}"


def html(shown: View) -> str:
    """The widget as tables of the last readings, and pictures of those before."""
    chosen = next((each for each in shown.choices if each.chosen), None)
    limits = [(each.title, each.words, each.file, each.says.replace("\n", " · ")) for each in shown.sliders]
    events = [(each.clock, f"{each.sign} {each.words}") for each in shown.moments]
    return page.figure(
        "Cgroup dashboard" + (f": {chosen.name}, {shown.status}" if chosen else ""),
        page.paragraph(shown.error),
        page.table(("Limit", "", "file", "says"), limits) if limits else "",
        page.table(("In use", ""), [(each.title, each.says) for each in shown.charts]) if shown.charts else "",
        page.table(("Events", ""), events) if events else "",
    )


def _sliders(track: Track, scales: Mapping[str, Scale]) -> tuple[Slider, ...]:
    if not track.readings:
        return ()
    now = track.readings[-1]
    return tuple(_slider(scale, now, value) for scale in scales.values() if (value := limit(now.limits, scale.name)))


def _slider(scale: Scale, now: Reading, value: int) -> Slider:
    file = now.files.get(scale.file)
    return Slider(
        name=scale.name,
        title=scale.title,
        keyword=scale.keyword,
        stop=scale.stop(value),
        stops=tuple(scale.words(each) for each in scale.stops),
        values=scale.stops,
        words=scale.words(value),
        file=basename(file.path) if file else "",
        path=file.path if file else "",
        says=file.says if file else "",
    )


def _moment(mark: Mark) -> Moment:
    return Moment(time.strftime("%H:%M:%S", time.localtime(mark.clock_s)), mark.sign, mark.tone, mark.words)
