"""JSON objects to dataclasses and back, by the dataclass's own types.

A field ``oom_score_adj`` is ``oomScoreAdj`` in JSON; what is None or empty is left out when written; what the
dataclass does
not know is ignored when read, as the specifications ask of implementations (image-spec v1.1.0
considerations.md#extensibility). A value of the wrong type is a `SpecError` that names its path.
"""

from __future__ import annotations

import functools
import json
import os
import types
import typing
from collections.abc import Hashable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

from labcontainer.errors import SpecError
from labcontainer.oci.digest import Digest

T = TypeVar("T", bound=object)
_MISSING = object()
# JSON that the dataclass keeps as it is (a seccomp policy has hundreds of names): nothing in it needs converting.
_PLAIN = frozenset({"str", "int", "bool", "Mapping[str, Any]", "Mapping[str, Any] | None", "Mapping[str, str]"})
_STRINGS = "tuple[str, ...]"


def read(cls: type[T], value: object, path: str) -> T:
    """`value`, parsed JSON, as a `cls`; `path` is where it stands, for the error.

    Raises: SpecError. See: https://www.rfc-editor.org/rfc/rfc8259
    """
    if not isinstance(value, Mapping):
        raise SpecError(f"{path}: expected an object, found {_kind(value)}")
    found = {}
    for name, key, hint, required in _shape(typing.cast(Hashable, cls)):
        given = value.get(key, _MISSING)
        if given is _MISSING or given is None:
            if required:
                raise SpecError(f"{path}.{key}: is missing")
            continue
        found[name] = _convert(hint, given, f"{path}.{key}")
    return cls(**found)


def write(value: object) -> Any:
    """The inverse of `read`: what json.dumps takes.

    See: https://www.rfc-editor.org/rfc/rfc8259
    """
    if isinstance(value, Digest):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((key, getattr(value, name), type, required) for name, key, type, required in _names(value.__class__))
        return {
            key: item if type in _PLAIN else list(item) if type == _STRINGS else write(item)
            for key, item, type, required in pairs
            if required or _worth_writing(item)
        }
    if isinstance(value, list | tuple):
        return [write(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): write(item) for key, item in value.items()}
    return value


def parse(data: bytes, where: str) -> object:
    """JSON bytes that others wrote; `where` names them in the error.

    Raises: SpecError. See: https://www.rfc-editor.org/rfc/rfc8259
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{where}: not JSON: {error}") from None


def dump(value: object) -> bytes:
    """A dataclass as the JSON bytes that are stored and hashed: the same for the same value.

    See: https://www.rfc-editor.org/rfc/rfc8259
    """
    return json_bytes(write(value))


def json_bytes(value: object) -> bytes:
    """Plain data as compact JSON, the same for the same data. See: https://www.rfc-editor.org/rfc/rfc8259"""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def camel(name: str) -> str:
    """``oom_score_adj`` → ``oomScoreAdj``.

    See: runtime-spec v1.2.0 config.md
    """
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


@functools.cache
def _shape(cls: Hashable) -> tuple[tuple[str, str, Any, bool], ...]:
    assert isinstance(cls, type)
    assert is_dataclass(cls)
    hints = typing.get_type_hints(cls)
    return tuple((name, key, hints[name], required) for name, key, _, required in _names(cls))


@functools.cache
def _names(cls: Any) -> tuple[tuple[str, str, str, bool], ...]:
    """Of each field its name, its key in JSON, its type as the source has it (to evaluate that is slow), and whether it
    must be there."""
    return tuple(
        (
            field.name,
            field.metadata.get("key") or camel(field.name),
            str(field.type),
            field.default is MISSING and field.default_factory is MISSING,
        )
        for field in fields(cls)
    )


def _worth_writing(value: object) -> bool:
    return value is not None and value != () and value != {} and value is not False and value != ""


def _convert(hint: Any, value: object, path: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert(next(choice for choice in arguments if choice is not type(None)), value, path)
    if hint is Digest:
        return _digest(value, path)
    if is_dataclass(hint):
        return read(typing.cast(type, hint), value, path)
    if origin is tuple:
        if not isinstance(value, list):
            raise SpecError(f"{path}: expected an array, found {_kind(value)}")
        return tuple(_convert(arguments[0], item, f"{path}[{index}]") for index, item in enumerate(value))
    if origin is not None:  # Mapping[str, X]
        if not isinstance(value, Mapping):
            raise SpecError(f"{path}: expected an object, found {_kind(value)}")
        return {_text(key, path): _convert(arguments[1], item, f"{path}.{key}") for key, item in value.items()}
    if hint is Any or hint is object:
        return value
    # bool is an int in Python, but true is no number in JSON.
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise SpecError(f"{path}: expected {hint.__name__}, found {_kind(value)}")
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        raise SpecError(f"{path}: the number does not fit into 64 bits")
    return _text(value, path) if isinstance(value, str) else value


def _digest(value: object, path: str) -> Digest:
    if not isinstance(value, str):
        raise SpecError(f"{path}: expected a digest, found {_kind(value)}")
    try:
        return Digest.parse(value)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None


def _text(value: str, path: str) -> str:
    # Such a string can be no argument, no variable and no path; better said here than by execve.
    if "\0" in value:
        raise SpecError(f"{path}: the text has a NUL character in it")
    try:
        if not value.isascii():
            os.fsencode(value)
    except UnicodeEncodeError:
        raise SpecError(f"{path}: the text is not Unicode (half of a surrogate pair)") from None
    return value


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
