"""The frame around a terminal as data: whose it is, and how the line to it stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from html import escape

from labcontainer.widgets import page
from labcontainer.widgets.lifecycle_times import exit_meaning


class Line(StrEnum):
    """How the line stands."""

    ATTACHED = "attached"
    DETACHED = "detached"
    ENDED = "ended"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class View:
    """All that stands around the screen. `newlines`: without a terminal a new line does not return the carriage."""

    title: str
    about: str
    line: str
    sentence: str
    again: str  # what the button for another line says; empty where there can be none
    newlines: bool
    error: str


def view(
    name: str, command: str, line: Line, *, exit_code: int | None = None, tty: bool = True, takes_input: bool = True,
    error: str = "",
) -> View:  # fmt: skip
    """What to show of a terminal in the container `name`: of an exec of `command`, or attached to process 1 ("")."""
    about = f"exec: {command}" if command else "attached to process 1"
    return View(
        title=f"Terminal in {name}",
        about=about if takes_input else f"{about}, which takes no input (it was made without stdin_open)",
        line=line.value,
        sentence=_sentence(line, command, exit_code),
        again="" if line is Line.ATTACHED else "Run it again" if command else "Attach again",
        newlines=not tty,
        error=error,
    )


def text() -> str:
    """The widget as one line that is the same on every machine."""
    return "Terminal: what a program in a container shows, and the keys that it gets"


def html(shown: View, screen: str) -> str:
    """The widget as text: the screen as it is now."""
    style = "padding:10px;border:1px solid #888;border-radius:6px;overflow:auto"
    return page.figure(
        f"{shown.title} ({shown.about})",
        page.paragraph(shown.error),
        page.paragraph(shown.sentence),
        f'<pre style="{style}">{escape(screen)}</pre>',
    )


def _sentence(line: Line, command: str, exit_code: int | None) -> str:
    match line:
        case Line.ATTACHED:
            return "Attached. What you type goes there."
        case Line.DETACHED:
            return (
                "Detached: the program goes on, and nobody listens." if command else "Detached: the container goes on."
            )
        case Line.LOST:
            return "The line was lost: the container's monitor was killed."
        case Line.ENDED:
            return f"It has ended. {exit_meaning(exit_code or 0)}."
