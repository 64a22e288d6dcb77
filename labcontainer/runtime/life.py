"""The life of a container as a table: its states, the verbs, and which verb is for which state.

    >>> from labcontainer.runtime import life
    >>> life.after("pause", Status.RUNNING)
    <Status.PAUSED: 'paused'>

`diagram` and `mermaid` draw it, from `VERBS` and `EVENTS` alone.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

from labcontainer.errors import StateError


class Status(enum.StrEnum):
    """The specification's states (runtime-spec v1.2.0 runtime.md#state), and docker's paused and restarting."""

    CREATING = "creating"
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    STOPPED = "stopped"


_CREATED, _RUNNING, _PAUSED = Status.CREATED, Status.RUNNING, Status.PAUSED
_RESTARTING, _STOPPED = Status.RESTARTING, Status.STOPPED

# verb → {state in which it is allowed: state that follows}. None: the container is gone.
VERBS: dict[str, dict[Status, Status | None]] = {
    "start": {_CREATED: _RUNNING, _STOPPED: _RUNNING, _RUNNING: _RUNNING},
    "exec": {_RUNNING: _RUNNING},
    "pause": {_RUNNING: _PAUSED},
    "unpause": {_PAUSED: _RUNNING},
    "kill": {_RUNNING: _STOPPED, _PAUSED: _STOPPED, _RESTARTING: _STOPPED},
    "stop": {_CREATED: _CREATED, _RUNNING: _STOPPED, _PAUSED: _STOPPED, _RESTARTING: _STOPPED, _STOPPED: _STOPPED},
    "restart": {_CREATED: _RUNNING, _RUNNING: _RUNNING, _PAUSED: _RUNNING, _RESTARTING: _RUNNING, _STOPPED: _RUNNING},
    "attach": {_RUNNING: _RUNNING},
    "remove": {_CREATED: None, _STOPPED: None},
}

# What happens by itself: event → {state before: state after}.
EVENTS: dict[str, dict[Status, Status]] = {
    "created": {Status.CREATING: _CREATED},
    "ended": {_RUNNING: _STOPPED, _PAUSED: _STOPPED, _CREATED: _STOPPED, Status.CREATING: _STOPPED},
    "ended, and its policy says again": {_RUNNING: _RESTARTING},
    "waited": {_RESTARTING: _RUNNING},
}

_REMEDIES = {
    (_PAUSED, "start"): "unpause it",
    (_PAUSED, "exec"): "unpause it first",
    (_PAUSED, "attach"): "unpause it first",
    (_PAUSED, "pause"): "it stands still already",
    (_PAUSED, "remove"): "unpause and stop it first, or remove it with force (rm -f)",
    (_RUNNING, "unpause"): "only what was paused can go on",
    (_RUNNING, "remove"): "stop it first, or remove it with force (rm -f)",
    (_RESTARTING, "remove"): "stop it first, or remove it with force (rm -f)",
}


def after(verb: str, status: Status) -> Status | None:
    """The state that follows `verb` in `status`; None where nothing is left. Raises: KeyError (it is not allowed)."""
    return VERBS[verb][status]


def check(id: str, verb: str, status: Status) -> None:
    """Raises: StateError (id, state, verb; the state it would have to be in) where the table does not allow it."""
    if status in VERBS[verb]:
        return
    remedy = f"that is for a container that is {' or '.join(VERBS[verb])}"
    if (status, verb) in _REMEDIES:
        remedy += f": {_REMEDIES[status, verb]}"
    raise StateError(id, status, verb, remedy)


def diagram() -> str:
    """The table as Graphviz text, one edge for each verb or event that changes the state."""
    lines = [f'    {before} -> {after} [label="{name}"]' for before, after, name in _changes("removed")]
    return "digraph life {\n" + "\n".join(lines) + "\n}\n"


def mermaid() -> str:
    """The same as Mermaid text, which forges and JupyterLab draw; ARCHITECTURE.md has it, and a test holds it."""
    lines = [f"    {before} --> {after}: {name}" for before, after, name in _changes("[*]")]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {Status.CREATING}: create", *lines, ""])


def _changes(gone: str) -> Iterator[tuple[str, str, str]]:
    for verb, row in VERBS.items():
        yield from ((before, after or gone, verb) for before, after in row.items() if before != after)
    for event, states in EVENTS.items():
        yield from ((before, after, event) for before, after in states.items())
