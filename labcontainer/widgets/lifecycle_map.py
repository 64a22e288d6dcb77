"""The state diagram: what is on it comes from the table in ``runtime/life.py``, where it is drawn is laid by hand here.

    creating ──► created ──────► running ◄────► paused
                  │    ╲          │ ▲  ╲╲          │
                  │     ╲         │ │  restarting  │
                  ▼      ▼        ▼ │ ╱            │
               removed ◄──────── stopped ◄─────────┘

An edge of the table without a place here is an error, and so is a place without an edge: a test holds both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from labcontainer.runtime import life
from labcontainer.runtime.life import Status

WIDTH, HEIGHT = 1000, 470
BOX_WIDTH, BOX_HEIGHT = 132, 46
_HEAD = 12.0
REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Box:
    """One state; `x` and `y` are its middle."""

    state: str
    x: int
    y: int
    meaning: str


@dataclass(frozen=True, slots=True)
class Arrow:
    """What leads from one state to another: the path of an SVG, and the names beside it.

    `lines` is the label, a line each, at `x`, `y`; `head` is the path of its head; `verbs` are those names that
    somebody can call, in the table's order.
    """

    before: str
    after: str
    path: str
    head: str
    lines: tuple[str, ...]
    x: int
    y: int
    anchor: str
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Route:
    path: str
    x: int
    y: int
    anchor: str = "middle"
    stacked: bool = False


_MEANINGS = {
    "creating": (90, 70, "namespaces and mounts are being made"),
    "created": (290, 70, "all is made, the command waits"),
    "running": (530, 70, "process 1 lives"),
    "paused": (900, 70, "the freezer holds every process"),
    "restarting": (730, 235, "waiting to be started again"),
    "stopped": (530, 400, "process 1 has ended"),
    REMOVED: (290, 400, "nothing is left"),
}
_ROUTES = {
    ("creating", "created"): _Route("M156 70 H220", 190, 58),
    ("creating", "stopped"): _Route("M90 93 V436 Q90 452 106 452 H514 Q530 452 530 436 V427", 310, 444),
    ("created", "running"): _Route("M356 70 H460", 410, 58),
    ("created", "stopped"): _Route("M330 93 C340 230 430 310 480 373", 378, 274, "end"),
    ("created", REMOVED): _Route("M290 93 V373", 281, 240, "end"),
    ("running", "paused"): _Route("M596 58 H830", 714, 47),
    ("paused", "running"): _Route("M834 82 H600", 714, 101),
    ("running", "stopped"): _Route("M514 93 V373", 505, 216, "end", stacked=True),
    ("stopped", "running"): _Route("M546 377 V97", 556, 300, "start", stacked=True),
    ("running", "restarting"): _Route("M590 93 C612 170 728 130 736 208", 746, 178, "start"),
    ("restarting", "running"): _Route("M664 235 C600 230 570 170 563 98", 612, 194, "start"),
    ("restarting", "stopped"): _Route("M736 258 C740 350 680 390 600 394", 728, 348, "start"),
    ("paused", "stopped"): _Route("M900 93 V392 Q900 412 880 412 H600", 760, 431),
    ("stopped", REMOVED): _Route("M464 400 H360", 412, 389),
}
# The table's sentence is too long for an arrow.
_SHORT = {"ended, and its policy says again": "ended, policy: again"}


def boxes() -> tuple[Box, ...]:
    """Every state, and the end of all."""
    return tuple(Box(state, *_MEANINGS[state]) for state in (*(each.value for each in Status), REMOVED))


def edges() -> Mapping[tuple[str, str], tuple[str, ...]]:
    """The table's verbs and events, by the change that they bring about; what changes nothing is left out."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    rows = [(name, row.items()) for name, row in life.VERBS.items()]
    for name, row in (*rows, *((name, row.items()) for name, row in life.EVENTS.items())):
        for before, after in row:
            if before != after:
                pair = (before.value, after.value if after else REMOVED)
                found[pair] = (*found.get(pair, ()), name)
    return found


def arrows() -> tuple[Arrow, ...]:
    """Every edge of the table, laid out. Raises: KeyError where one has no place yet."""
    return tuple(_arrow(before, after, names) for (before, after), names in edges().items())


def head(path: str) -> str:
    """The triangle at the end of `path` (of M, H, V, Q and C), in the direction in which it arrives."""
    points: list[tuple[float, float]] = []
    for command, numbers in re.findall(r"([MHVQC])([\d ]+)", path):
        values = [float(number) for number in numbers.split()]
        if command == "H":
            points.append((values[0], points[-1][1]))
        elif command == "V":
            points.append((points[-1][0], values[0]))
        else:
            points += zip(values[::2], values[1::2], strict=True)
    (from_x, from_y), (x, y) = points[-2:]
    length = math.hypot(x - from_x, y - from_y)
    along_x, along_y = (x - from_x) / length * _HEAD, (y - from_y) / length * _HEAD
    corners = [(x + along_x * 0.3, y + along_y * 0.3)]
    corners += [(x - along_x * 0.7 + side * along_y / 2, y - along_y * 0.7 - side * along_x / 2) for side in (1, -1)]
    return "M" + " L".join(f"{left:.1f} {top:.1f}" for left, top in corners) + " z"


def _arrow(before: str, after: str, names: tuple[str, ...]) -> Arrow:
    route = _ROUTES[before, after]
    words = tuple(_SHORT.get(name, name) for name in names)
    lines = words if route.stacked else (" · ".join(words),)
    verbs = tuple(name for name in names if name in life.VERBS)
    return Arrow(before, after, route.path, head(route.path), lines, route.x, route.y, route.anchor, verbs)
