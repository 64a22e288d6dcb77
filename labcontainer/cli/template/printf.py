"""Go's printf, for the verbs that templates use: %v %s %q %d %x %X %o %b %c %f %e %g %t %%.

See: https://pkg.go.dev/fmt
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from labcontainer.cli.template import values

_VERB = re.compile(r"%(?P<flags>[-+# 0]*)(?P<width>\d*)(?:\.(?P<precision>\d*))?(?P<verb>.)", re.DOTALL)
# The verbs of each type; what is not among them is printed as Go reports it: %!d(string=x)
_VERBS = {bool: "tv", int: "dxXobcqv", float: "feEgGv", str: "sqxXv"}


def printf(form: str, *given: object) -> str:
    """`given` as `form` says; as in Go a mistake is no error but is printed."""
    left = list(given)

    def one(match: re.Match[str]) -> str:
        verb = match["verb"]
        if verb == "%":
            return "%"
        if not left:
            return f"%!{verb}(MISSING)"
        return _padded(_shown(left.pop(0), match), match)

    text = _VERB.sub(one, form)
    extra = ", ".join(f"{values.type_name(value)}={values.plain(value)}" for value in left)
    return f"{text}%!(EXTRA {extra})" if left else text


def _shown(value: Any, match: re.Match[str]) -> str:
    verb, precision = match["verb"], match["precision"]
    if verb == "v" or (verb == "s" and type(value) not in _VERBS):
        return values.plain(value)
    if verb not in _VERBS.get(type(value), ""):
        return f"%!{verb}({values.type_name(value)}={values.plain(value)})"
    if isinstance(value, str):
        return _string(value, verb, precision)
    if isinstance(value, bool):
        return values.plain(value)
    if isinstance(value, int):
        return ("+" if "+" in match["flags"] and value >= 0 else "") + _INTEGERS[verb](value)
    sign = "+" if "+" in match["flags"] else ""
    return format(value, f"{sign}.{precision or '6'}{verb}") if verb in "feE" or precision else values.number(value)


_INTEGERS: dict[str, Callable[[int], str]] = {
    "d": str,
    "x": lambda value: format(value, "x"),
    "X": lambda value: format(value, "X"),
    "o": lambda value: format(value, "o"),
    "b": lambda value: format(value, "b"),
    "c": chr,
    "q": lambda value: f"'{chr(value)}'",
}


def _string(value: str, verb: str, precision: str | None) -> str:
    cut = value if precision is None else value[: int(precision or 0)]
    if verb == "q":
        return json.dumps(cut, ensure_ascii=False)
    if verb in "xX":
        digits = cut.encode(errors="surrogateescape").hex()
        return digits.upper() if verb == "X" else digits
    return cut


def _padded(text: str, match: re.Match[str]) -> str:
    width, flags = int(match["width"] or 0), match["flags"]
    if "-" in flags:
        return text.ljust(width)
    return text.zfill(width) if "0" in flags else text.rjust(width)
