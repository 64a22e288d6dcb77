"""The source as it is on this machine, now: a lesson shows code, it never pastes it.

>>> show(namespaces.unshare)
labcontainer/kernel/namespaces.py:58
def unshare(flags: CloneFlag) -> None:
    …
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

# Pygments' kinds of token, as the colours of JupyterLab's editor: they follow its theme, the fallback is for elsewhere.
_COLOURS = {
    "Token.Keyword": ("keyword", "#00669d"),
    "Token.Name.Function": ("def", "#1e40af"),
    "Token.Name.Class": ("def", "#1e40af"),
    "Token.Name.Decorator": ("meta", "#6b21a8"),
    "Token.Literal.String": ("string", "#a31515"),
    "Token.Literal.Number": ("number", "#067a3b"),
    "Token.Comment": ("comment", "#4d6b6b"),
    "Token.Operator.Word": ("keyword", "#00669d"),
}


@dataclass(frozen=True, slots=True)
class Source:
    """The source of one function or class: where it stands, and its text."""

    file: str
    line: int
    text: str

    def __repr__(self) -> str:
        return f"{self.file}:{self.line}\n{self.text}"

    def _repr_html_(self) -> str:
        return (
            f'<div style="margin:0.6em 0"><code><strong>{self._link()}</strong></code>'
            f'<pre style="line-height:1.35">{_highlighted(self.text)}</pre></div>'
        )

    def _link(self) -> str:
        place = f"{escape(self.file)}:{self.line}"
        # The lessons stand beside the package: JupyterLab opens the file in a tab.
        return f'<a href="../{escape(self.file)}">{place}</a>' if self.file.startswith("labcontainer/") else place


def show(*things: Any) -> None:
    """Display the live source of each function, class or module in `things`, with its file and line.

    Raises: TypeError where Python has no source for it (it is built in).
    """
    from IPython.display import display

    for thing in things:
        display(source_of(thing))  # type: ignore[no-untyped-call]


def source_of(thing: Any) -> Source:
    """The source of `thing`, read now. Raises: TypeError."""
    thing = inspect.unwrap(getattr(thing, "__func__", thing))
    lines, first = inspect.getsourcelines(thing)
    text = inspect.cleandoc("\n" + "".join(lines)) if lines[0][:1].isspace() else "".join(lines).rstrip("\n")
    return Source(_short(inspect.getsourcefile(thing) or "?"), max(first, 1), text)


def _short(path: str) -> str:
    # From the package on: that is where the reader finds the file, wherever the clone is.
    _, package, tail = path.rpartition("/labcontainer/")
    return f"labcontainer/{tail}" if package else os.path.basename(path)


def _highlighted(text: str) -> str:
    from pygments.lexers.python import PythonLexer  # type: ignore[import-untyped]

    tokens: Iterable[tuple[Any, str]] = PythonLexer(stripnl=False, ensurenl=False).get_tokens(text)
    return "".join(_coloured(str(kind), value) for kind, value in tokens)


def _coloured(kind: str, value: str) -> str:
    for prefix, (name, fallback) in _COLOURS.items():
        if kind.startswith(prefix):
            return f'<span style="color:var(--jp-mirror-editor-{name}-color,{fallback})">{escape(value)}</span>'
    return escape(value)
