"""Where a widget meets the browser: one dictionary to show, and commands that come back.

The script in ``static/`` draws ``shown`` anew whenever it changes, and sends ``{"verb": …}`` when the student acts. All
decisions are Python's; the browser keeps only what is a matter of looks (zoom, what is scrolled where).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

STATIC = Path(__file__).parent / "static"


class Stage(anywidget.AnyWidget):
    """The browser's side of one widget; subclasses only name its script and style."""

    shown = traitlets.Dict().tag(sync=True)
    answered = traitlets.Int(0).tag(sync=True)

    def show(self, view: DataclassInstance) -> None:
        """Draw `view` from now on."""
        self.shown = asdict(view)

    def on_command(self, obey: Callable[[dict[str, Any]], None]) -> None:
        """Call `obey` with each command that the browser sends."""

        def answer(_stage: Stage, command: dict[str, Any], _buffers: object) -> None:
            obey(command)
            # A refused command may leave everything as it was; the count still ends the browser's wait.
            self.answered += 1

        self.on_msg(answer)
