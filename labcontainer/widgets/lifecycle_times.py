"""The time line: what has happened to one container, placed in lanes.

    State       ┌created┐┌───── running ─────┐┌─ paused ─┐┌ running ┐┌ stopped ─ ─
    Verbs       create   start               pause       unpause     stop
    Signals                                                          SIGTERM   SIGKILL
    Exit codes                                                                 137

It is made of docker's events, as the engine and the monitors have written them down, and of the monitor's own record.
Between milliseconds and minutes no true scale would show both: a pause ten times as long is drawn a little wider.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labcontainer.runtime.life import Status
from labcontainer.runtime.request import Restart
from labcontainer.widgets.lifecycle_map import REMOVED

LANES = ("State", "Verbs", "Signals", "Exit codes")
VERBS, SIGNALS, EXITS = 1, 2, 3
MOST_MARKS = 60
# A mark's label needs so much room, a state with its duration so much; ten times as long is so much more.
_MARK_PX, _STATE_PX, _MORE_PX, _END_PX = 78, 118, 15, 190
_LEADS_TO = {
    "create": Status.CREATED, "start": Status.RUNNING, "pause": Status.PAUSED, "unpause": Status.RUNNING,
    "destroy": REMOVED,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that has happened, as it was recorded. `time_ns` counts since 1970."""

    time_ns: int
    action: str
    attributes: Mapping[str, str]

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Happening:
        """From docker's event."""
        return cls(event["timeNano"], event["Action"], event["Actor"]["Attributes"])


@dataclass(frozen=True, slots=True)
class Mark:
    """A happening in its lane, at `left` pixels. `note` explains it in a sentence."""

    lane: int
    left: float
    word: str
    note: str
    clock: str
    tone: str


@dataclass(frozen=True, slots=True)
class Span:
    """A state and how long it lasted; the last one still does (`words` has no duration then)."""

    state: str
    left: float
    width: float
    words: str


@dataclass(frozen=True, slots=True)
class TimeLine:
    """All lanes, `width` pixels wide; `earlier` happenings no longer fit."""

    width: float
    marks: tuple[Mark, ...]
    spans: tuple[Span, ...]
    earlier: int


def time_line(
    happenings: Sequence[Happening], status: str, *, policy: Restart = Restart(), stop_signal: int = signal.SIGTERM
) -> TimeLine:
    """Place `happenings`, in the order of time, of a container that is `status` now."""
    told = [each for each in happenings if not each.action.startswith("exec_create")]
    shown = told[-MOST_MARKS:]
    places = _places(shown)
    width = (places[-1] if places else 0) + _END_PX
    marks = tuple(_mark(each, left) for each, left in zip(shown, places, strict=True))
    spans = _spans(told, len(told) - len(shown), places, width, status, policy, stop_signal)
    return TimeLine(width, marks, spans, len(told) - len(shown))


def duration(nanoseconds: int) -> str:
    """``480 µs``, ``12 ms``, ``3.4 s``, ``2 min``, ``5 h``."""
    seconds = nanoseconds / 1e9
    for unit, size, below in (("µs", 1e-6, 1e-3), ("ms", 1e-3, 1.0), ("s", 1.0, 120.0), ("min", 60.0, 7200.0)):
        if seconds < below:
            count = seconds / size
            return f"{count:.1f} {unit}" if unit == "s" and count < 10 else f"{count:.0f} {unit}"
    return f"{seconds / 3600:.0f} h"


def exit_meaning(code: int, *, oom: bool = False) -> str:
    """What an exit code says, in docker's convention."""
    if oom and code == 128 + signal.SIGKILL:
        return "137 = 128 + 9: killed by the Linux kernel, for it was out of memory"
    known = {
        0: "0: it has ended well",
        125: "125: the engine could not make the container",
        126: "126: the command is there and cannot be executed",
        127: "127: there is no such command in the image",
    }
    if code in known:
        return known[code]
    if 128 < code <= 128 + signal.SIGRTMAX:
        return f"{code} = 128 + {code - 128}: ended by {signal_name(code - 128)}"
    return f"{code}: its own exit code, and an error by convention"


def signal_name(number: int) -> str:
    """``SIGTERM`` for 15; real-time signals by their distance from the first."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}" if number > signal.SIGRTMIN else f"signal {number}"


def _places(shown: Sequence[Happening]) -> list[float]:
    """Where each stands, in pixels: each has the room that its label needs, and more after a longer wait."""
    places, left = [], 12.0
    before: Happening | None = None
    for each in shown:
        if before is not None:
            waited_ms = max(each.time_ns - before.time_ns, 0) / 1e6
            changes = before.action == "die" or before.action in _LEADS_TO
            left += (_STATE_PX if changes else _MARK_PX) + _MORE_PX * math.log10(1 + waited_ms)
        places.append(round(left, 1))
        before = each
    return places


def _mark(happening: Happening, left: float) -> Mark:
    lane, word, note, tone = _told(happening)
    seconds, nanoseconds = divmod(happening.time_ns, 10**9)
    clock = time.strftime("%H:%M:%S", time.localtime(seconds)) + f".{nanoseconds // 10**6:03}"
    return Mark(lane, left, word, note, clock, tone)


def _told(happening: Happening) -> tuple[int, str, str, str]:
    """Its lane, its word, its sentence and its tone."""
    action, attributes = happening.action, happening.attributes
    if action == "kill":
        name = signal_name(int(attributes.get("signal", "0")))
        return SIGNALS, name, f"{name} was sent to process 1", "amber"
    if action == "oom":
        return SIGNALS, "OOM", "a limit on memory was hit: the Linux kernel has killed a process", "red"
    if action == "die":
        code = int(attributes.get("exitCode", "255"))
        return EXITS, str(code), exit_meaning(code, oom="oom" in attributes), "green" if code == 0 else "red"
    name, _, more = action.partition(": ")
    if name == "exec_start":
        return VERBS, "exec", f"exec: {more}", "violet"
    if action == "exec_die":
        code = int(attributes.get("exitCode", "255"))
        return EXITS, f"exec {code}", f"the command of an exec has ended: {exit_meaning(code)}", "violet"
    if name == "health_status":
        return VERBS, more, f"its health check says: {more}", "green" if more == "healthy" else "red"
    word = "remove" if name == "destroy" else name
    return VERBS, word, {"start": "its command runs"}.get(word, word), "blue"


def _spans(
    told: Sequence[Happening], skipped: int, places: Sequence[float], width: float, status: str, policy: Restart,
    stop_signal: int,
) -> tuple[Span, ...]:  # fmt: skip
    changes = list(_changes(told, policy, stop_signal))
    spans = []
    for number, (index, state) in enumerate(changes):
        after = changes[number + 1][0] if number + 1 < len(changes) else None
        if after is not None and after <= skipped:
            continue
        left = places[index - skipped] if index >= skipped else 0.0
        if after is None:
            # Whatever was written down: what is so now, the Linux kernel says.
            spans.append(Span(status, left, width - left, status))
        else:
            lasted = duration(told[after].time_ns - told[index].time_ns)
            spans.append(Span(state, left, places[after - skipped] - left, f"{state} {lasted}"))
    return tuple(spans)


def _changes(told: Iterable[Happening], policy: Restart, stop_signal: int) -> Iterable[tuple[int, str]]:
    """(index of a happening, the state from then on)."""
    halted, restarts = False, 0
    for index, each in enumerate(told):
        if each.action == "kill" and each.attributes.get("signal") in (str(int(signal.SIGKILL)), str(stop_signal)):
            halted = True
        if each.action == "die":
            code = int(each.attributes.get("exitCode", "255"))
            again = policy.wants(code, restarts, halted=halted)
            restarts += again
            yield index, Status.RESTARTING if again else Status.STOPPED
        elif each.action in _LEADS_TO:
            halted = halted and each.action != "start"
            yield index, str(_LEADS_TO[each.action])
