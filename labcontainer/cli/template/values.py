"""Values as Go sees them: what is empty, what a type is called, how a value is printed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence


class Struct(Mapping[str, object]):
    """A mapping whose keys are known, as the fields of a type of docker's are: another name is another error.

    `document` is what it is as JSON, if that is not its fields.
    """

    def __init__(
        self, type_name: str, fields: Mapping[str, object], document: Mapping[str, object] | None = None
    ) -> None:
        self.type_name = type_name
        self.document = document
        self._fields = fields

    def __getitem__(self, name: str) -> object:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


def is_list(value: object) -> bool:
    """Whether Go would call it a slice."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def is_true(value: object) -> bool:
    """Whether ``if`` takes it: not false, 0, nil, nor empty."""
    return bool(value)


def type_name(value: object) -> str:
    """The type's name in Go."""
    names = {bool: "bool", int: "int", float: "float64", str: "string", type(None): "<nil>"}
    if type(value) in names:
        return names[type(value)]
    return "map[string]interface {}" if isinstance(value, Mapping) else "[]interface {}"


def show(value: object) -> str:
    """A value as ``{{value}}`` prints it."""
    return "<no value>" if value is None else plain(value)


def plain(value: object) -> str:
    """A value as Go's ``%v`` prints it: ``map[a:1 b:2]``, ``[x y]``, ``true``, ``<nil>``."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{plain(value[key])}' for key in sorted(value))}]"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{' '.join(map(plain, value))}]"
    return str(value)


def number(value: float) -> str:
    """A floating point number as Go's ``%v`` has it: the shortest that is the same, an exponent from 1e21 on."""
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    mantissa, _, exponent = repr(value).partition("e")
    return f"{mantissa}e{int(exponent):+03d}" if exponent else mantissa


def to_json(value: object) -> str:
    """JSON as docker's function ``json`` writes it: on one line, without spaces, UTF-8 as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_as_json)


def _as_json(value: object) -> object:
    if isinstance(value, Struct) and value.document is not None:
        return value.document
    if isinstance(value, Mapping):
        return {key: each for key, each in value.items() if not callable(each)}
    if isinstance(value, Sequence):
        return list(value)
    return str(value)
