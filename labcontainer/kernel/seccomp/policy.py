"""Seccomp policies as data, in the two formats in which they are written.

Docker's has conditions, which depend on the container and on the machine::

    {"names": ["reboot"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_BOOT"]}}
    {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}}

A bundle's ``linux.seccomp`` has none: `resolve` makes it from docker's. `Policy` is the latter, read and checked.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from labcontainer.errors import SpecError

T = TypeVar("T")

# uname's name of the machine → docker's (which is Go's), libseccomp's.
_MACHINES = {
    "x86_64": ("amd64", "SCMP_ARCH_X86_64"),
    "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
    "i686": ("x86", "SCMP_ARCH_X86"),
    "armv7l": ("arm", "SCMP_ARCH_ARM"),
    "ppc64le": ("ppc64le", "SCMP_ARCH_PPC64LE"),
    "s390x": ("s390x", "SCMP_ARCH_S390X"),
    "riscv64": ("riscv64", "SCMP_ARCH_RISCV64"),
}


# What a bundle's policy has besides architectures and rules.
_KEPT = ("defaultAction", "defaultErrnoRet", "flags", "listenerPath", "listenerMetadata")
# Until the agent has its descriptor nobody answers: the trace is written meanwhile, and the descriptor is sent.
_TO_HAND_OVER = {"sendmsg", "write"}


@functools.cache
def docker_default() -> Mapping[str, Any]:
    """Docker's default policy, in docker's format.

    See: https://docs.docker.com/engine/security/seccomp/
    """
    text = (Path(__file__).parent.parent / "data" / "seccomp-docker.json").read_text()
    return cast(Mapping[str, Any], json.loads(text))


def resolve(policy: Mapping[str, Any], *, capabilities: Iterable[str]) -> dict[str, Any]:
    """A policy in docker's format as a bundle's ``linux.seccomp``, for these capabilities and this machine.

    A policy that is in the bundle's format already comes back as it is.

    Raises: SpecError where it is no policy at all; what its rules say is checked when it is compiled.
    See: https://docs.docker.com/engine/security/seccomp/, runtime-spec v1.2.0 config-linux.md#seccomp
    """
    held = frozenset(capabilities)
    resolved = {key: policy[key] for key in _KEPT if policy.get(key) is not None}
    resolved["architectures"] = _architectures(policy)
    resolved["syscalls"] = [
        {key: rule[key] for key in ("names", "action", "errnoRet", "args") if rule.get(key) not in (None, [])}
        for rule in map(_with_names, _rows(policy, "syscalls"))
        if all(_conditions(rule.get("includes"), held, frozenset.issuperset))
        and not any(_conditions(rule.get("excludes"), held, lambda held, caps: not held.isdisjoint(caps)))
    ]
    return resolved


def native_architecture() -> str | None:
    """libseccomp's name of this machine's architecture, if docker's policies have one.

    See: man 2 uname, man 3 seccomp_arch_add
    """
    machine = os.uname().machine
    return _MACHINES[machine][1] if machine in _MACHINES else None


@dataclass(frozen=True, slots=True)
class Condition:
    """What a rule asks of one argument: ``argument[index] op value``; masked: ``argument & value == value_two``."""

    index: int
    op: str
    value: int
    value_two: int


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to the system calls `names` where all `conditions` hold."""

    names: tuple[str, ...]
    action: str
    errno: int | None
    conditions: tuple[Condition, ...]
    at: str  # its path in the JSON, for messages


@dataclass(frozen=True, slots=True)
class Policy:
    """A bundle's ``linux.seccomp``."""

    default_action: str
    default_errno: int | None
    architectures: tuple[str, ...]
    rules: tuple[Rule, ...]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Policy:
        """Read and check what may come from anybody's bundle.

        Raises: SpecError (the JSON path). See: runtime-spec v1.2.0 config-linux.md#seccomp
        """
        at = "linux.seccomp"
        default = _get(data, "defaultAction", at, str)
        if default == "SCMP_ACT_NOTIFY":
            raise SpecError(
                f"{at}.defaultAction: with SCMP_ACT_NOTIFY init would wait for an agent before there is one"
            )
        return cls(
            default_action=default,
            default_errno=_get(data, "defaultErrnoRet", at, int, None),
            architectures=_texts(data, "architectures", at),
            rules=tuple(
                _rule(rule, f"{at}.syscalls[{i}]") for i, rule in enumerate(_get(data, "syscalls", at, list, []))
            ),
        )


def _rule(data: object, at: str) -> Rule:
    names, action = _texts(data, "names", at), _get(data, "action", at, str)
    if not names:
        raise SpecError(f"{at}.names: a rule is for at least one system call")
    if action == "SCMP_ACT_NOTIFY" and (unable := _TO_HAND_OVER & set(names)):
        raise SpecError(f"{at}.names: init needs {', '.join(sorted(unable))} to hand the agent its descriptor")
    return Rule(
        names=names,
        action=action,
        errno=_get(data, "errnoRet", at, int, None),
        conditions=tuple(_condition(row, f"{at}.args[{i}]") for i, row in enumerate(_get(data, "args", at, list, []))),
        at=at,
    )


def _condition(data: object, at: str) -> Condition:
    index = _get(data, "index", at, int)
    if not 0 <= index <= 5:
        raise SpecError(f"{at}.index: {index} is not the number of an argument (0 to 5)")
    values = {key: _get(data, key, at, int, *default) for key, default in (("value", ()), ("valueTwo", (0,)))}
    for key, value in values.items():
        if not 0 <= value < 1 << 64:
            raise SpecError(f"{at}.{key}: {value} does not fit into an argument (64 bits, unsigned)")
    return Condition(index=index, op=_get(data, "op", at, str), value=values["value"], value_two=values["valueTwo"])


_REQUIRED: Any = object()


def _get(data: object, key: str, at: str, kind: type[T], default: Any = _REQUIRED) -> T:
    if not isinstance(data, Mapping):
        raise SpecError(f"{at}: expected an object, found {type(data).__name__}")
    value = data.get(key)
    if value is None and default is not _REQUIRED:
        return cast(T, default)
    # True is an int to Python, but no number to JSON.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise SpecError(f"{at}.{key}: expected {kind.__name__}, found {type(value).__name__}")
    return value


def _texts(data: object, key: str, at: str) -> tuple[str, ...]:
    texts: Sequence[object] = _get(data, key, at, list, [])
    if not all(isinstance(text, str) for text in texts):
        raise SpecError(f"{at}.{key}: expected a list of str")
    return cast(tuple[str, ...], tuple(texts))


def _rows(policy: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    rows = _get(policy, key, "seccomp policy", list, [])
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise SpecError(f"seccomp policy.{key}[{i}]: expected an object, found {type(row).__name__}")
    return rows


def _with_names(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    # Docker's older policies have a rule for each name.
    return {"names": [rule["name"]], **rule} if rule.get("name") else rule


def _architectures(policy: Mapping[str, Any]) -> list[str]:
    for row in _rows(policy, "archMap"):
        if row.get("architecture") == native_architecture():
            return [row["architecture"], *(row.get("subArchitectures") or ())]
    return list(policy.get("architectures") or ())


def _conditions(
    condition: Mapping[str, Any] | None, held: frozenset[str], caps: Callable[[frozenset[str], Iterable[str]], bool]
) -> list[bool]:
    # An include wants all of its capabilities, an exclude any of them; the other two read the same in both.
    found = condition or {}
    met = []
    if found.get("caps"):
        met.append(caps(held, found["caps"]))
    if found.get("arches"):
        met.append(_MACHINES.get(os.uname().machine, (None,))[0] in found["arches"])
    if found.get("minKernel"):
        met.append(_version(os.uname().release) >= _version(found["minKernel"]))
    return met


def _version(text: str) -> tuple[int, int]:
    # "6.18.44-fc", "4.8"
    major, minor, *_ = (*text.split(".", 2), "0")
    return int(major), int("".join(digit for digit in minor if digit.isdigit()) or 0)
