"""``--filter NAME=VALUE``, given as often as one likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def _parse(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise click.BadParameter("bad format of filter (expected name=value)", context, parameter)
        # label!=x asks for what lacks the label.
        found.setdefault(name.strip().lower(), []).append(value.strip())
    return found


def filter_option(example: str, *, short: bool = True) -> Callable[[F], F]:
    """The option ``--filter``, and ``-f`` where that is not ``--force``; its value is what the engine takes."""
    names = ("-f", "--filter") if short else ("--filter",)
    return click.option(*names, "filters", multiple=True, callback=_parse, metavar="NAME=VALUE", help=example)
