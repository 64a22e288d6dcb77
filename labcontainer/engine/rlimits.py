"""``--ulimit``: what one process may use, as setrlimit(2) holds it.

    nofile=1024:2048      soft 1024, hard 2048
    core=0                both
    memlock=unlimited     -1 says the same

See: man 2 setrlimit, runtime-spec v1.2.0 config.md#posix-process
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from labcontainer.errors import UsageError
from labcontainer.kernel.process import ResourceLimit
from labcontainer.oci.runtime_spec import Rlimit

NAMES = tuple(limit.name.removeprefix("RLIMIT_").lower() for limit in ResourceLimit)
UNLIMITED = (1 << 64) - 1  # how config.json writes RLIM_INFINITY
_LARGEST = (1 << 63) - 1

Given = Iterable[str | Mapping[str, Any]] | None


def ulimits(given: Given) -> tuple[Rlimit, ...]:
    """``nofile=1024:2048`` texts, or docker-py's ``{"Name": "nofile", "Soft": 1024, "Hard": 2048}``.

    Raises: UsageError.
    """
    found = {}  # of two with one name the last counts
    for each in given or ():
        one = _of_mapping(each) if isinstance(each, Mapping) else _of_text(each)
        found[one.type] = one
    return tuple(found.values())


def document(limit: Mapping[str, Any]) -> dict[str, Any]:
    """A limit of config.json under docker's field names, as inspect shows it."""
    return {
        "Name": str(limit["type"]).removeprefix("RLIMIT_").lower(),
        "Hard": _signed(int(limit["hard"])),
        "Soft": _signed(int(limit["soft"])),
    }


def _signed(value: int) -> int:
    return -1 if value > _LARGEST else value


def _of_text(text: str) -> Rlimit:
    name, separator, values = text.partition("=")
    if not separator:
        raise UsageError("ulimit", text, "write NAME=SOFT or NAME=SOFT:HARD, as in nofile=1024:2048")
    soft, _, hard = values.partition(":")
    return _checked(text, name, _value(text, soft), _value(text, hard or soft))


def _of_mapping(given: Mapping[str, Any]) -> Rlimit:
    told = {key.lower(): value for key, value in given.items()}
    soft, hard = told.get("soft"), told.get("hard")
    values = [_value(given, value) for value in (hard if soft is None else soft, soft if hard is None else hard)]
    return _checked(given, str(told.get("name", "")), *values)


def _checked(given: object, name: str, soft: int, hard: int) -> Rlimit:
    if name.lower() not in NAMES:
        raise UsageError("ulimit", given, f"there is no {name!r}; choose from {', '.join(sorted(NAMES))}")
    if soft > hard:
        raise UsageError("ulimit", given, "the soft limit cannot be above the hard one")
    return Rlimit(f"RLIMIT_{name.upper()}", hard, soft)


def _value(given: object, value: Any) -> int:
    text = str(value)
    if text in ("-1", "unlimited"):
        return UNLIMITED
    if not text.isdecimal() or int(text) > _LARGEST:
        raise UsageError("ulimit", given, f"{text!r} is no limit: give a whole number, or unlimited")
    return int(text)
