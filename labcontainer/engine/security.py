"""What a container's processes may do: capabilities, seccomp, and ``--security-opt``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labcontainer.errors import UsageError
from labcontainer.kernel.capabilities import DOCKER_DEFAULT, Capability, read

Policy = bool | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Security:
    """`seccomp`: False is no filter, True docker's policy, or a policy of one's own.

    `masks` is False where /proc and /sys are shown whole; `writable_cgroups` mounts the container's own cgroup.
    """

    privileged: bool = False
    capabilities: frozenset[Capability] = DOCKER_DEFAULT
    no_new_privileges: bool = False
    seccomp: Policy = True
    masks: bool = True
    writable_cgroups: bool = False


def take(settings: dict[str, Any]) -> Security:
    """docker-py's privileged, cap_add, cap_drop and security_opt, out of `settings`; and seccomp, no_new_privileges.

    Raises: UsageError.
    """
    privileged = bool(settings.pop("privileged", False))
    add, drop = settings.pop("cap_add", None) or (), settings.pop("cap_drop", None) or ()
    chosen: dict[str, Any] = {
        "no_new_privileges": bool(settings.pop("no_new_privileges", False)),
        "seccomp": policy(settings.pop("seccomp", True)),
        **options(settings.pop("security_opt", None) or ()),
    }
    if privileged:
        chosen.setdefault("masks", False)
    return Security(privileged, capabilities(add, drop, privileged=privileged), **chosen)


def options(given: Iterable[str]) -> dict[str, Any]:
    """docker's ``no-new-privileges``, ``seccomp=…``, ``systempaths=unconfined`` as the fields of `Security`.

    Raises: UsageError.
    """
    chosen: dict[str, Any] = {}
    for text in given:
        # docker once wrote a colon, and takes it still.
        at = next((index for index, character in enumerate(text) if character in "=:"), len(text))
        name, value = text[:at], text[at + 1 :]
        if name == "no-new-privileges":
            chosen["no_new_privileges"] = _truth(text, value)
        elif name == "seccomp":
            chosen["seccomp"] = _seccomp(text, value)
        elif name == "systempaths" and value == "unconfined":
            chosen["masks"] = False
        elif name == "writable-cgroups":
            chosen["writable_cgroups"] = _truth(text, value)
        elif (name, value) not in (("apparmor", "unconfined"), ("label", "disable")):
            raise UsageError("security-opt", text, _unknown(name))
    return chosen


def _unknown(name: str) -> str:
    if name in ("apparmor", "label"):
        return f"no profiles of AppArmor or SELinux are loaded here; {name}={_OFF[name]} says so"
    return (
        "choose no-new-privileges, seccomp=unconfined, seccomp=FILE, systempaths=unconfined, writable-cgroups=true, "
        "apparmor=unconfined or label=disable"
    )


_OFF = {"apparmor": "unconfined", "label": "disable"}


def _truth(text: str, value: str) -> bool:
    if value.lower() in ("", "true", "1"):
        return True
    if value.lower() in ("false", "0"):
        return False
    raise UsageError("security-opt", text, f"{value!r} is neither true nor false")


def _seccomp(text: str, value: str) -> Policy:
    if value in ("unconfined", "builtin"):
        return value == "builtin"
    try:
        return policy(json.loads(value))
    except ValueError as error:
        raise UsageError("security-opt", text[:60], f"it is no seccomp policy: {error}") from None


def policy(given: Policy | None) -> Policy:
    """A seccomp policy in docker's format or a bundle's; True is docker's own, False none. Raises: UsageError."""
    if given is None or isinstance(given, bool):
        return given is not False
    if not isinstance(given, Mapping):
        raise UsageError("seccomp", given, "give False, or a policy: the JSON object of a profile")
    return given


def capabilities(add: Sequence[str], drop: Sequence[str], *, privileged: bool) -> frozenset[Capability]:
    """Docker's default set (all when privileged), less `drop`, plus `add`; ``ALL`` means every one. Raises: UsageError.

    See: man 7 capabilities
    """
    # Root may itself lack some (it does in many containers); a user namespace of one's own begins with all of them.
    every = read().permitted if os.geteuid() == 0 else frozenset(Capability)
    chosen = every if privileged else DOCKER_DEFAULT
    added = every if any(name.upper() == "ALL" for name in add) else _named(add)
    return (chosen - _named(drop)) | added


def _named(names: Sequence[str]) -> frozenset[Capability]:
    found: set[Capability] = set()
    for given in names:
        text = given.upper().removeprefix("CAP_")
        if text == "ALL":
            return frozenset(Capability)
        try:
            found.add(Capability[f"CAP_{text}"])
        except KeyError:
            raise UsageError("capability", given, "there is none of that name; see man 7 capabilities") from None
    return frozenset(found)
