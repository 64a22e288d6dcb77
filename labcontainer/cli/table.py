"""Columns as docker prints them: three spaces apart, no lines, fit for a pipe."""

from __future__ import annotations

from collections.abc import Sequence

_APART = 3


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """`heads` and `rows` as text, each column as wide as its widest cell."""
    return aligned([heads, *rows])


def aligned(lines: Sequence[Sequence[str]], *, least_width: int = 0) -> str:
    """Lines of cells as text. A column is as wide as its widest cell, and `least_width` at least with the space after
    it; the last cell of a line is as wide as it is."""
    columns = max((len(line) for line in lines), default=1) - 1
    widths = [
        max([least_width, *(len(line[column]) + _APART for line in lines if column < len(line) - 1)])
        for column in range(columns)
    ]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells[:-1], widths, strict=False)]
    return "".join([*padded, *cells[-1:]]).rstrip()
