"""An exercise: a task with this student's parameters, three hints, and a judge that asks the Linux kernel.

    def judge(bench: Bench) -> str:
        if namespaces.inode(bench.child.pid, "uts") == namespaces.inode("self", "uts"):
            raise NotYet("it still shares the host's UTS namespace: …")
        return "its UTS namespace is its own."

A judge never reads what was typed. What it raises names the misconception, what it returns says what the kernel said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labcontainer.errors import LabError
from labcontainer.lessons.child import Child
from labcontainer.lessons.prediction import prose

if TYPE_CHECKING:
    from labcontainer.lessons.bench import Lab


class NotYet(Exception):
    """The state is not the wanted one: the message says what is missing, and which misconception leads there."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What a judge may look at: the lab, what the student handed to `check`, and the parameters."""

    lab: Lab
    subject: object
    parameters: Mapping[str, str]

    def __getitem__(self, parameter: str) -> str:
        return self.parameters[parameter]

    @property
    def child(self) -> Child:
        """The student's living child. Raises: NotYet."""
        if not isinstance(self.subject, Child):
            raise NotYet("hand over the child that `%%child --keep` made, by its name.")
        if self.subject.refused:
            raise NotYet("this machine did not let the cell begin; the cell has said why, and what mends it.")
        if not self.subject.alive:
            raise NotYet(f"the process `{self.subject.name}` has ended. Run its cell again: `--keep` holds it.")
        return self.subject


@dataclass(frozen=True, slots=True)
class Exercise:
    """`task` and `hints` may name the `parameters` in braces; each parameter has one value for each student."""

    task: str
    hints: tuple[str, str, str]
    judge: Callable[[Bench], str]
    parameters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # What a student's child has forked may need a moment to reach the wanted state.
    patience_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sheet:
    """Text for the student, shown as Markdown."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge has said. ``passed`` is for programs, the text for the student."""

    exercise: str
    passed: bool
    text: str

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return f"{'✔' if self.passed else '✘'} {self.exercise}: {self.text}{self._advice()}"

    def _repr_html_(self) -> str:
        colour = "success" if self.passed else "warn"
        return (
            f'<div style="border-left:4px solid var(--jp-{colour}-color1,#888);padding:0.4em 1em">'
            f"<strong>{'✔' if self.passed else '✘'} {self.exercise}</strong>: {prose(self.text + self._advice())}</div>"
        )

    def _advice(self) -> str:
        return "" if self.passed else f' (Stuck? `lab.hint("{self.exercise}")` helps, in three steps.)'


def judged(name: str, exercise: Exercise, bench: Bench) -> Verdict:
    """The verdict on `bench`; it never raises for something that the student did."""
    deadline = time.monotonic() + exercise.patience_s
    while True:
        try:
            return Verdict(name, True, exercise.judge(bench))
        except NotYet as missing:
            text = str(missing)
        except (LabError, OSError) as error:
            text = f"looking at it failed: {error}"
        if time.monotonic() >= deadline:
            return Verdict(name, False, f"not yet: {text}")
        time.sleep(0.05)
