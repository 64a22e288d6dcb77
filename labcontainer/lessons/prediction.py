"""A question that is answered before the explanation opens.

    >>> question = Prediction("What is 1 + 1?", {"a": "1", "b": "2"}, answer="b", because="One, and one more.")
    >>> question.answer("a")
    ✘ a: 1
    The answer is b: 2
    One, and one more.

In JupyterLab it is a choice to click (arrow keys and space do the same); `answer` is its twin in Python. Where no
notebook kernel runs, the explanation is folded away below the question.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from labcontainer.errors import UsageError

_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is told once a prediction was made: a verdict, and the reasons."""

    right: bool
    lines: Sequence[str]

    def __repr__(self) -> str:
        return "\n".join(self.lines)

    def _repr_html_(self) -> str:
        return self.html

    @property
    def html(self) -> str:
        """One paragraph a line, the verdict in bold."""
        first, *rest = map(prose, self.lines)
        return paragraph(f"<strong>{first}</strong>") + "".join(map(paragraph, rest))


@dataclass(frozen=True, slots=True)
class Prediction:
    """`options` by letter, the letter that is `right`, and why; `wrong` says what misleads to the others."""

    question: str
    options: Mapping[str, str]
    right: str
    because: str
    wrong: Mapping[str, str] = field(default_factory=dict)

    def answer(self, letter: str) -> Explanation:
        """Commit to the option `letter`, and be told. Raises: UsageError (there is no such option)."""
        if letter not in self.options:
            raise UsageError("answer", letter, f"choose from {', '.join(self.options)}")
        right = letter == self.right
        lines = [f"{'✔' if right else '✘'} {letter}: {self.options[letter]}"]
        if not right:
            lines += [self.wrong[letter]] if letter in self.wrong else []
            lines.append(f"The answer is {self.right}: {self.options[self.right]}")
        lines.append(self.because)
        return Explanation(right, lines)

    def __repr__(self) -> str:
        options = "\n".join(f"  {letter}  {text}" for letter, text in self.options.items())
        return f"Predict: {self.question}\n{options}"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        from labcontainer.lessons.choice import choice

        view = {"version_major": 2, "version_minor": 0, "model_id": choice(self).model_id}
        return {"text/plain": repr(self), "text/html": self._html(), _WIDGET_VIEW: view}

    def _html(self) -> str:
        options = "".join(
            f"<li><strong>{letter}</strong>&ensp;{prose(text)}</li>" for letter, text in self.options.items()
        )
        return (
            f"<div>{paragraph('<strong>Predict:</strong> ' + prose(self.question))}"
            f'<ul style="list-style:none">{options}</ul>'
            f"<details><summary>Decide first, then open</summary>{self.answer(self.right).html}</details></div>"
        )


def paragraph(html: str) -> str:
    """A paragraph set as JupyterLab sets its own; ipywidgets would set it smaller and wider."""
    return f'<p style="margin:0.4em 0;line-height:1.6;font-size:var(--jp-content-font-size1,1em)">{html}</p>'


def prose(text: str) -> str:
    """Text as HTML, with `code` between backticks and *emphasis* between stars."""
    # Every second piece stood between backticks, and stars in there are code.
    pieces = re.split(r"`([^`]+)`", escape(text, quote=False))
    pieces[::2] = [re.sub(r"\*([^*]+)\*", r"<em>\1</em>", piece) for piece in pieces[::2]]
    pieces[1::2] = [f"<code>{piece}</code>" for piece in pieces[1::2]]
    return "".join(pieces)
