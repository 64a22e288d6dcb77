"""What ``run`` and ``create`` take, checked: docker-py's keywords as one `Options`.

A subject that has more to it has a file of its own: `limits`, `rlimits`, `devices`, `mounts`, `hosts`, `sharing`,
`security`, `upkeep`.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labcontainer.engine import devices, hosts, limits, mounts, rlimits, security, sharing, upkeep
from labcontainer.engine.devices import Devices
from labcontainer.engine.hosts import Names
from labcontainer.engine.limits import Constraints
from labcontainer.engine.security import Security
from labcontainer.engine.sharing import Sharing
from labcontainer.errors import SpecError, UsageError
from labcontainer.oci.runtime_spec import Mount, Rlimit
from labcontainer.runtime import sysctls
from labcontainer.runtime.request import Health, Restart

Command = str | Sequence[str] | None
SHM_BYTES = 64 << 20
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Options:
    """Everything about a container but its image."""

    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: tuple[str, ...] = ()
    working_dir: str | None = None
    user: str | None = None
    group_add: tuple[str, ...] = ()
    names: Names = Names()
    constraints: Constraints = Constraints()
    cgroup_parent: str = ""
    sharing: Sharing = Sharing()
    security: Security = Security()
    rlimits: tuple[Rlimit, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    devices: Devices = Devices()
    shm_bytes: int = SHM_BYTES
    read_only: bool = False
    tty: bool = False
    stdin_open: bool = False
    stdin_once: bool = False
    remove: bool = False
    name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    init: bool = False
    attach: tuple[str, ...] = ()
    log: Mapping[str, str] | None = field(default_factory=dict)
    restart: Restart = Restart()
    health: Health | None = None
    stop_signal: str | None = None
    stop_timeout_s: float = 10


def parse(command: Command, settings: Mapping[str, Any], resolve: Callable[[str], str] = str) -> Options:
    """Check docker-py's keyword arguments; `resolve` gives the id of another container that is named.

    Raises: UsageError; NotFound (that container); TypeError for a keyword that is not known.
    """
    given = dict(settings)
    own = sharing.take(given, resolve)
    _refuse_elsewhere(given)
    parsed = Options(
        command=words(command),
        entrypoint=words(given.pop("entrypoint", None)),
        environment=environment(given.pop("environment", None)),
        working_dir=working_dir(given.pop("working_dir", None)),
        user=user(given.pop("user", None)),
        group_add=tuple(str(group) for group in given.pop("group_add", None) or ()),
        names=hosts.take(given),
        constraints=limits.take(given),
        cgroup_parent=given.pop("cgroup_parent", None) or "",
        sharing=own,
        security=security.take(given),
        rlimits=rlimits.ulimits(given.pop("ulimits", None)),
        sysctls=sysctl(given.pop("sysctls", None), own),
        mounts=mounts.take(given),
        devices=devices.devices(given.pop("devices", None), given.pop("device_cgroup_rules", None)),
        shm_bytes=shm_bytes(given.pop("shm_size", None)),
        name=name(given.pop("name", None)),
        labels=metadata("label", given.pop("labels", None)),
        annotations=metadata("annotation", given.pop("annotations", None)),
        attach=attach(given.pop("attach", None)),
        log=upkeep.log_config(given.pop("log_config", None)),
        restart=upkeep.restart(given.pop("restart_policy", None)),
        health=upkeep.health(given.pop("healthcheck", None)),
        stop_signal=upkeep.stop_signal(given.pop("stop_signal", None)),
        stop_timeout_s=stop_timeout_s(given.pop("stop_timeout", None)),
        **{flag: bool(given.pop(flag, False)) for flag in _FLAGS},
    )
    _check_together(parsed)
    if given:
        raise TypeError(f"unknown settings: {', '.join(sorted(given))}")
    return parsed


_FLAGS = ("read_only", "tty", "stdin_open", "stdin_once", "remove", "init")


def _check_together(parsed: Options) -> None:
    upkeep.check_removal(parsed.restart, remove=parsed.remove)
    own, names = parsed.sharing, parsed.names
    if own.uts_mode == "host" and (names.hostname or names.domainname):
        raise UsageError("uts", "host", "a container with the host's names can have no other: leave --hostname out")
    if own.network_mode.startswith("container:") and names != Names():
        raise UsageError("network", own.network_mode, "host name, hosts and name servers are the other container's")


def _refuse_elsewhere(given: dict[str, Any]) -> None:
    runtime = given.pop("runtime", None)
    if runtime not in (None, "labcontainer"):
        reason = "this engine is its own runtime; run the container's bundle with another: runc run -b DIRECTORY NAME"
        raise UsageError("runtime", runtime, reason)
    wanted = given.pop("platform", None)
    here = f"linux/{_MACHINES.get(platform.machine(), platform.machine())}"
    if wanted is not None and wanted not in (here, "linux") and not str(wanted).startswith(f"{here}/"):
        raise UsageError("platform", wanted, f"this machine is {here}, and nothing emulates another")


def sysctl_pairs(given: Mapping[str, Any] | Sequence[str] | None) -> dict[str, str]:
    """docker-py's ``{"net.core.somaxconn": 1024}``, or ``NAME=VALUE`` texts, as they were given."""
    pairs = given.items() if isinstance(given, Mapping) else [text.partition("=")[::2] for text in given or ()]
    return {str(key): str(value) for key, value in pairs}


def sysctl(given: Mapping[str, Any] | Sequence[str] | None, own: Sharing) -> dict[str, str]:
    """Settings that a container with these namespaces of its own may change. Raises: UsageError."""
    found = {}
    for key, value in sysctl_pairs(given).items():
        if not key or value == "":
            raise UsageError("sysctl", key, "write NAME=VALUE, as in net.core.somaxconn=1024")
        try:
            sysctls.path(key)
        except SpecError as error:
            raise UsageError("sysctl", key, str(error)) from None
        reason = sysctls.refusal(key, own.own())
        if reason:
            raise UsageError("sysctl", key, reason)
        found[sysctls.name(key)] = value
    return found


def shm_bytes(given: int | str | None) -> int:
    """The size of /dev/shm; 0 is docker's default. Raises: UsageError."""
    return (limits.size_bytes("shm-size", given) if given is not None else 0) or SHM_BYTES


def stop_timeout_s(given: float | None) -> float:
    """Seconds between the stop signal and SIGKILL; -1 is no end to the patience. Raises: UsageError."""
    seconds = 10.0 if given is None else float(given)
    if seconds < 0 and seconds != -1:
        raise UsageError("stop-timeout", given, "give seconds from 0 on, or -1 to wait without end")
    return seconds


def attach(given: Sequence[str] | None) -> tuple[str, ...]:
    """The streams that its first client stays with, for the record. Raises: UsageError."""
    for text in given or ():
        if text not in ("stdin", "stdout", "stderr"):
            raise UsageError("attach", text, "choose stdin, stdout or stderr")
    return tuple(given or ())


def metadata(flag: str, given: Mapping[str, str] | Sequence[str] | None) -> dict[str, str]:
    """docker-py's mapping or list of labels, or of annotations. Raises: UsageError."""
    pairs = given.items() if isinstance(given, Mapping) else [(*text.partition("=")[::2],) for text in given or ()]
    found = {str(key): str(value) for key, value in pairs}
    if "" in found:
        raise UsageError(flag, f"={found['']}", "it needs a name: NAME=VALUE")
    return found


def words(command: Command) -> tuple[str, ...] | None:
    """A command as a tuple; a string is split as a shell would."""
    if command is None:
        return None
    if isinstance(command, str):
        import shlex

        return tuple(shlex.split(command))
    return tuple(str(word) for word in command)


def environment(given: Mapping[str, str | None] | Sequence[str] | None) -> tuple[str, ...]:
    """``NAME=value`` texts; a name without a value takes the caller's, as docker's ``-e NAME`` does."""
    if given is None:
        return ()
    pairs = given.items() if isinstance(given, Mapping) else [_pair(text) for text in given]
    found = []
    for name, value in pairs:
        if not name or "\0" in name or "\0" in (value or ""):
            raise UsageError("environment", name, "a variable needs a name, and NUL can be in neither part")
        chosen = os.environ.get(name) if value is None else value
        if chosen is not None:
            found.append(f"{name}={chosen}")
    return tuple(found)


def user(given: str | int | None) -> str | None:
    """docker-py's ``"name:group"``, or a number."""
    return None if given is None else str(given)


def working_dir(given: str | None) -> str | None:
    """The directory in which the command starts; it is made if it is not there. Raises: UsageError."""
    if given is not None and (not given.startswith("/") or "\0" in given):
        raise UsageError("workdir", given, "it must be an absolute path")
    return given


def name(given: str | None) -> str | None:
    """A container's name. Raises: UsageError."""
    if given is not None and not _NAME.fullmatch(given):
        raise UsageError("name", given, "use two or more of letters, digits, _ . -, and begin with a letter or digit")
    return given


def _pair(text: str) -> tuple[str, str | None]:
    key, separator, value = text.partition("=")
    return key, value if separator else None
