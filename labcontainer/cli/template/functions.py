"""The functions that a template may call: Go's own, and those that docker adds.

See: https://pkg.go.dev/text/template#hdr-Functions, https://docs.docker.com/engine/cli/formatting/
"""

from __future__ import annotations

import functools
import html
import operator
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from labcontainer.cli.template import printf, values

Function = Callable[..., object]


class CallError(Exception):
    """A function does not take what it was given."""


def _length(value: Any) -> int:
    if value is None:
        raise CallError("len of nil pointer")
    if isinstance(value, str):
        return len(value.encode(errors="surrogateescape"))
    if not isinstance(value, Mapping) and not values.is_list(value):
        raise CallError(f"len of type {values.type_name(value)}")
    return len(value)


def _index(value: Any, /, *keys: Any) -> object:
    for key in keys:
        if value is None:
            raise CallError("index of untyped nil")
        if isinstance(value, Mapping):
            # In docker's maps of strings a name that is missing stands for the empty one.
            strings = all(isinstance(each, str) for each in value.values())
            value = value.get(key, "" if strings else None)
        elif values.is_list(value) or isinstance(value, str):
            if type(key) is not int:
                raise CallError(f"cannot index slice/array with type {values.type_name(key)}")
            if not 0 <= key < len(value):
                raise CallError(f"index out of range: {key}")
            value = value[key]
        else:
            raise CallError(f"can't index item of type {values.type_name(value)}")
    return value


def _slice(value: Any, *bounds: int) -> object:
    if not values.is_list(value) and not isinstance(value, str):
        raise CallError(f"can't slice item of type {values.type_name(value)}")
    start, end, *_ = (*bounds, 0, len(value)) if not bounds else (*bounds, len(value))
    if not 0 <= start <= end <= len(value):
        raise CallError(f"index out of range: {end}")
    return value[start:end]


def _equal(first: object, *others: object) -> bool:
    if not others:
        raise CallError("missing argument for comparison")
    return any(_kind(first, other) is not None and first == other for other in others)


def _kind(one: object, other: object) -> str | None:
    """What two values are compared as; None where one of them is nil, which is equal to nil alone."""
    if one is None or other is None:
        return "nil" if one is other else None
    kinds = set(map(values.type_name, (one, other)))
    if len(kinds) > 1:
        raise CallError(f"incompatible types for comparison: {' and '.join(map(values.type_name, (one, other)))}")
    return kinds.pop()


def _ordered(compare: Callable[[Any, Any], bool]) -> Function:
    def function(one: object, other: object) -> bool:
        if _kind(one, other) not in ("int", "float64", "string"):
            raise CallError("invalid type for comparison")
        return compare(one, other)

    return function


def _print(*given: object) -> str:
    text = ""
    for number, value in enumerate(given):
        # Go puts a space between two operands of which neither is a string.
        apart = number and not isinstance(value, str) and not isinstance(given[number - 1], str)
        text += (" " if apart else "") + values.plain(value)
    return text


def _join(parts: Any, separator: str) -> str:
    if parts is not None and not values.is_list(parts):
        raise CallError(f"wrong type for value; expected []string; got {values.type_name(parts)}")
    return separator.join(map(values.plain, parts or ()))


def _truncate(text: str, length: int) -> str:
    return text[:length] if length >= 0 else ""


def _pad(text: str, left: int, right: int) -> str:
    return " " * left + text + " " * right if text else ""


def _of_text(function: Callable[..., object]) -> Function:
    """`function`, whose first argument must be a string."""

    @functools.wraps(function)
    def checked(*given: object) -> object:
        if given and not isinstance(given[0], str):
            raise CallError(f"wrong type for value; expected string; got {values.type_name(given[0])}")
        return function(*given)

    return checked


# `and` and `or` are not here: they look at no more arguments than they need, which is the evaluator's business.
FUNCTIONS: dict[str, Function] = {
    "len": _length,
    "index": _index,
    "slice": _slice,
    "not": lambda value: not values.is_true(value),
    "print": _print,
    "println": lambda *given: " ".join(map(values.plain, given)) + "\n",
    "printf": printf.printf,
    "html": lambda *given: html.escape(_print(*given)),
    "urlquery": lambda *given: urllib.parse.quote_plus(_print(*given)),
    "eq": _equal,
    "ne": lambda one, other: not _equal(one, other),
    "lt": _ordered(operator.lt),
    "le": _ordered(operator.le),
    "gt": _ordered(operator.gt),
    "ge": _ordered(operator.ge),
    "and": lambda *given: given[-1],
    "or": lambda *given: given[-1],
    # docker's
    "json": values.to_json,
    "join": _join,
    "split": _of_text(lambda text, separator: text.split(separator) if separator else list(text)),
    "title": _of_text(lambda text: " ".join(word[:1].upper() + word[1:] for word in text.split(" "))),
    "lower": _of_text(lambda text: text.lower()),
    "upper": _of_text(lambda text: text.upper()),
    "pad": _of_text(_pad),
    "truncate": _of_text(_truncate),
}
