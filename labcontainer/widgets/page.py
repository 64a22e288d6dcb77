"""A widget where no notebook kernel runs: one HTML table, and one line of text.

The HTML stands between two comments, ``<!--lab:live-->`` and ``<!--/lab:live-->``: it shows what *this* machine's Linux
kernel said, so a comparison of notebooks masks what is between them. The text is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

LIVE = ("<!--lab:live-->", "<!--/lab:live-->")

_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_CELL = "text-align:left"  # JupyterLab sets tables flush right


def mimebundle(model_id: str, text: str, html: str) -> dict[str, Any]:
    """What Jupyter shows: the live widget where there is a kernel, else `html`, else `text`."""
    view = {"version_major": 2, "version_minor": 1, "model_id": model_id}
    return {"text/plain": text, "text/html": html, _WIDGET_VIEW: view}


def figure(caption: str, *parts: str) -> str:
    """Parts of HTML below a caption, marked as live."""
    body = "\n".join(part for part in parts if part)
    return f"{LIVE[0]}<div><p><strong>{escape(caption)}</strong></p>\n{body}</div>{LIVE[1]}"


def paragraph(text: str) -> str:
    """A sentence, escaped; nothing for an empty one."""
    return f"<p>{escape(text)}</p>" if text else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of plain text, escaped."""
    lines = [f"<tr>{_cells('th', head)}</tr>", *(f"<tr>{_cells('td', row)}</tr>" for row in rows)]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _cells(tag: str, texts: Iterable[str]) -> str:
    return "".join(f'<{tag} style="{_CELL}">{escape(text)}</{tag}>' for text in texts)
