"""The trace view: each system call of an operation, by process and time, down to the line of source that made it.

>>> with engine.trace() as trace:
...     engine.containers.run("lab/base", ["true"])
>>> view = TraceView(trace.events)
>>> view.open(3).why
'the union of the layers becomes the root'
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import traitlets

from labcontainer.errors import LabError, UsageError
from labcontainer.kernel.trace import Event
from labcontainer.widgets import page
from labcontainer.widgets import trace_model as model
from labcontainer.widgets.stage import STATIC, Stage

SCALES = ("time", "order")


class TraceStage(Stage):
    """Its script and style, and what is open: calls stay where they are while one after the other is opened."""

    _esm = STATIC / "trace.js"
    _css = STATIC / "trace.css"

    opened = traitlets.Int(-1).tag(sync=True)
    scale = traitlets.Unicode("time").tag(sync=True)
    source = traitlets.Dict().tag(sync=True)


class TraceView:
    """A lane for each process; opening a call shows its arguments, result, reason and source."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = tuple(sorted(events, key=lambda event: event.start_ns))
        self._shown = model.view(self.events)
        self.stage = TraceStage()
        self.stage.show(self._shown)
        self.stage.on_command(self._obey)

    @property
    def calls(self) -> tuple[model.Call, ...]:
        """All calls, in the order in which they began."""
        return self._shown.calls

    @property
    def lanes(self) -> tuple[model.Lane, ...]:
        """The processes that made them."""
        return self._shown.lanes

    def open(self, index: int) -> model.Call:
        """Open the call number `index`, counted from 0, and return it.

        Raises: NotFound.
        """
        call = model.find(self._shown, index)
        # The source first: the browser draws the details when `opened` changes.
        self.stage.source = asdict(self.source(index))
        self.stage.opened = index
        return call

    def source(self, index: int) -> model.Source:
        """The lines of source around the call number `index`, read now.

        Raises: NotFound.
        """
        model.find(self._shown, index)
        return model.source(self.events[index])

    def scale(self, by: str) -> None:
        """Lay the calls out by ``time``, or by ``order``, in which each takes the same room.

        Raises: UsageError.
        """
        if by not in SCALES:
            raise UsageError("by", by, f"choose from {', '.join(SCALES)}")
        self.stage.scale = by

    def __repr__(self) -> str:
        return model.text(self._shown)

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return page.mimebundle(self.stage.model_id, repr(self), model.html(self._shown))

    def _obey(self, command: dict[str, Any]) -> None:
        try:
            if command["verb"] == "open":
                self.open(int(command["index"]))
            elif command["verb"] == "scale":
                self.scale(command["by"])
        except LabError:
            return
