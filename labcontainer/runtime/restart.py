"""When a container that has ended is started again, as docker does it.

100 ms, 200 ms, 400 ms … one minute     twice as long each time; from the beginning once it has run for 10 s
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labcontainer.runtime.request import Restart
from labcontainer.runtime.state import State

_FIRST_S, _LONGEST_S, _STABLE_S = 0.1, 60.0, 10.0


def pause_s(state: State) -> float:
    """How long to wait before the next start of a container that has just ended. Units: seconds."""
    ran_ns = (state.finished_ns or 0) - (state.started_ns or 0)
    if ran_ns >= _STABLE_S * 10**9:
        return _FIRST_S
    return min(_LONGEST_S, _FIRST_S * (1 << min(state.restarts, 10)))


def policy(fields: Mapping[str, Any]) -> Restart:
    """The policy in a client's message."""
    return Restart(str(fields.get("policy", "no")), int(fields.get("retries", 0)))
