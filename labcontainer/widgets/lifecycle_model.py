"""The life of one container as data: where it stands, what it may be told, what has happened to it.

Nothing here asks the Linux kernel or a browser anything: `view` turns an `Observation` and its `Happening`s into what
is shown, `html` and `text` turn that into a page.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from html import escape

from labcontainer.errors import StateError
from labcontainer.runtime import life
from labcontainer.runtime.life import Status
from labcontainer.runtime.request import Restart
from labcontainer.widgets import lifecycle_map as chart
from labcontainer.widgets import page
from labcontainer.widgets.lifecycle_map import REMOVED, Arrow, Box
from labcontainer.widgets.lifecycle_times import Happening, TimeLine, exit_meaning, time_line

SIGNALS = ("SIGTERM", "SIGKILL", "SIGINT", "SIGHUP", "SIGUSR1", "SIGSTOP", "SIGCONT")


@dataclass(frozen=True, slots=True)
class Observation:
    """What the Linux kernel and the monitor's record say of a container at one moment; `status` None: it was removed.

    `process` is the State line of process 1 in /proc, `freezer` a file of its cgroup and what that says.
    """

    name: str
    about: str
    status: Status | None
    pid: int = 0
    process: str = ""
    freezer: tuple[str, str] = ("", "")
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    health: str = ""
    restarts: int = 0
    finished_ns: int | None = None
    policy: Restart = Restart()
    stop_signal: int = 15


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb of the table; where it is not for the present state, `reason` is the StateError's sentence."""

    name: str
    does: str
    legal: bool
    reason: str
    busy: bool


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is so, and the file that says it."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class View:
    """All that the widget shows."""

    name: str
    about: str
    present: str
    came_from: str
    headline: str
    facts: tuple[Fact, ...]
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    verbs: tuple[Verb, ...]
    signals: tuple[str, ...]
    times: TimeLine
    error: str


# attach needs a terminal of its own, so it has none of the buttons; Terminal is the widget for it.
_DOES = {
    "start": "run its command",
    "exec": "run one more command inside",
    "pause": "freeze every process",
    "unpause": "let them go on",
    "kill": "send a signal to process 1",
    "stop": "ask it to end; after the grace period, kill it",
    "restart": "stop it and start it again",
    "remove": "delete it and its files",
}


def view(seen: Observation, happenings: Sequence[Happening], *, busy: Collection[str] = (), error: str = "") -> View:
    """What to show for what was seen and has happened; verbs that are being carried out are `busy`."""
    present = seen.status.value if seen.status else REMOVED
    times = time_line(completed(seen, happenings), present, policy=seen.policy, stop_signal=seen.stop_signal)
    return View(
        name=seen.name,
        about=seen.about,
        present=present,
        came_from=times.spans[-2].state if len(times.spans) > 1 else "",
        headline=_headline(seen),
        facts=_facts(seen),
        boxes=chart.boxes(),
        arrows=chart.arrows(),
        verbs=tuple(_verb(name, seen, busy) for name in _DOES),
        signals=SIGNALS,
        times=times,
        error=error,
    )


def completed(seen: Observation, happenings: Sequence[Happening]) -> tuple[Happening, ...]:
    """The happenings with what only the monitor's record has: the very moment of the end, and an end without an event
    (a command that could not be started)."""
    found = list(happenings)
    if seen.status is not Status.STOPPED or seen.finished_ns is None or seen.exit_code is None:
        return tuple(found)
    extra = {"oom": "1"} if seen.oom_killed else {}
    last = next((index for index in reversed(range(len(found))) if found[index].action in ("die", "start")), -1)
    if last >= 0 and found[last].action == "die" and found[last].time_ns >= seen.finished_ns:
        earliest = found[last - 1].time_ns if last else 0
        moment = max(seen.finished_ns, earliest)
        found[last] = replace(found[last], time_ns=moment, attributes={**found[last].attributes, **extra})
    else:
        found.append(Happening(seen.finished_ns, "die", {"exitCode": str(seen.exit_code), **extra}))
        found.sort(key=lambda each: each.time_ns)
    return tuple(found)


def text() -> str:
    """The widget as one line that is the same on every machine."""
    return "LifecycleView: the states, verbs and time line of one container"


def html(shown: View) -> str:
    """The widget as a picture and two tables."""
    marks = [(mark.clock, mark.word, mark.note) for mark in shown.times.marks]
    drawn = base64.b64encode(svg(shown).encode()).decode()
    alt = escape(f"The states of a container and what leads from one to another. It is {shown.present} now.")
    return page.figure(
        f"Life of {shown.name}",
        page.paragraph(shown.error),
        page.paragraph(shown.headline),
        f'<p><img alt="{alt}" style="max-width:100%" src="data:image/svg+xml;base64,{drawn}"></p>',
        page.table(("What is so", "who says it"), [(fact.text, fact.source) for fact in shown.facts]),
        page.table(("When", "what", ""), marks) if marks else "",
    )


def svg(shown: View) -> str:
    """The diagram alone, with colours of its own, for a page without a notebook kernel."""
    parts = [_drawn_arrow(arrow, shown.present) for arrow in shown.arrows]
    parts += [_drawn_box(box, shown.present) for box in shown.boxes]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {chart.WIDTH} {chart.HEIGHT}" width="{chart.WIDTH}" '
        'font-family="system-ui,sans-serif" font-size="14"><rect width="100%" height="100%" rx="12" fill="#fff"/>'
        f"{''.join(parts)}</svg>"
    )


def _verb(name: str, seen: Observation, busy: Collection[str]) -> Verb:
    if seen.status is None:
        return Verb(name, _DOES[name], False, "it was removed: nothing is left that could be told anything", False)
    try:
        life.check(seen.name, name, seen.status)
    except StateError as error:
        return Verb(name, _DOES[name], False, str(error), name in busy)
    does = "it runs already: nothing is asked of it" if (name, seen.status) == ("start", "running") else _DOES[name]
    return Verb(name, does, True, "", name in busy)


def _headline(seen: Observation) -> str:
    code = "" if seen.exit_code is None else exit_meaning(seen.exit_code, oom=seen.oom_killed)
    match seen.status:
        case None:
            return "It was removed."
        case Status.STOPPED:
            return f"It is stopped: {seen.error or code or 'it never began'}."
        case Status.CREATED:
            return "It is created, and no process of it exists." if not seen.pid else "It is created, and waits."
        case Status.PAUSED:
            return f"It is paused: process {seen.pid} is there, and stands still."
        case Status.RESTARTING:
            return f"It is restarting, for the {_ordinal(seen.restarts)} time: its policy is {seen.policy.policy}."
        case _:
            health = f", {seen.health}" if seen.health else ""
            return f"It is {seen.status}{health}: process 1 is number {seen.pid} on the host."


def _facts(seen: Observation) -> tuple[Fact, ...]:
    facts = []
    if seen.pid and seen.process:
        facts.append(Fact(f"State: {seen.process}", f"/proc/{seen.pid}/status"))
    file, says = seen.freezer
    if says:
        facts.append(Fact(says, re.sub(r"/([0-9a-f]{12})[0-9a-f]{52}/", r"/\1…/", file)))
    if seen.exit_code is not None and not seen.pid:
        oom = ", OOM killed" if seen.oom_killed else ""
        facts.append(Fact(f"exit code {seen.exit_code}{oom}", "its monitor's record, state.json"))
    if seen.restarts:
        facts.append(Fact(f"started again {seen.restarts} ×", "its monitor's record, state.json"))
    return tuple(facts)


def _ordinal(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")


def _drawn_box(box: Box, present: str) -> str:
    here = box.state == present
    left, top = box.x - chart.BOX_WIDTH // 2, box.y - chart.BOX_HEIGHT // 2
    fill, ink = ("#0b7269", "#fff") if here else ("#f4f5f7", "#1b1b1f")
    dash = ' stroke-dasharray="5 4"' if box.state == REMOVED else ""
    word = f"● {box.state}" if here else box.state
    return (
        f'<rect x="{left}" y="{top}" width="{chart.BOX_WIDTH}" height="{chart.BOX_HEIGHT}" rx="10" fill="{fill}" '
        f'stroke="#4b5563"{dash}/><text x="{box.x}" y="{box.y + 5}" text-anchor="middle" font-weight="600" '
        f'fill="{ink}">{word}</text>'
    )


def _drawn_arrow(arrow: Arrow, present: str) -> str:
    colour, width = ("#1d4fd8", 2.2) if arrow.before == present else ("#7b818c", 1.4)
    lines = "".join(
        f'<text x="{arrow.x}" y="{arrow.y + 17 * index}" text-anchor="{arrow.anchor}" font-size="13" fill="{colour}" '
        f'stroke="#fff" stroke-width="4" paint-order="stroke">{escape(line)}</text>'
        for index, line in enumerate(arrow.lines)
    )
    line = f'<path d="{arrow.path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
    return f'{line}<path d="{arrow.head}" fill="{colour}"/>{lines}'
