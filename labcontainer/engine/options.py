"""What ``run`` and ``create`` take, checked: docker-py's names, units in the comments beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from labcontainer.engine import signals
from labcontainer.engine.limits import Constraints
from labcontainer.errors import UsageError
from labcontainer.kernel.capabilities import DOCKER_DEFAULT, Capability, read
from labcontainer.runtime.log import Rotation
from labcontainer.runtime.request import Health, Restart

Command = str | Sequence[str] | None
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_POLICIES = ("no", "on-failure", "always", "unless-stopped")


@dataclass(frozen=True, slots=True)
class Volume:
    """One bind mount: a host path, where it appears inside, and ``rw`` or ``ro``."""

    source: str
    bind: str
    mode: str = "rw"

    @property
    def read_only(self) -> bool:
        """Whether the container may only read it."""
        return "ro" in self.mode.split(",")


@dataclass(frozen=True, slots=True)
class Options:
    """Everything about a container but its image."""

    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: tuple[str, ...] = ()
    working_dir: str | None = None
    user: str | None = None
    hostname: str | None = None
    constraints: Constraints = Constraints()
    network_mode: Literal["none", "host"] = "none"
    read_only: bool = False
    privileged: bool = False
    capabilities: frozenset[Capability] = DOCKER_DEFAULT
    no_new_privileges: bool = False
    seccomp: bool | Mapping[str, Any] = True  # False: no filter; else docker's policy, or this one
    volumes: tuple[Volume, ...] = ()
    tty: bool = False
    stdin_open: bool = False
    stdin_once: bool = False
    remove: bool = False
    name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    init: bool = False
    log: Mapping[str, str] | None = field(default_factory=dict)
    restart: Restart = Restart()
    health: Health | None = None
    stop_signal: str | None = None
    stop_timeout_s: float = 10


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


def capabilities(add: Sequence[str], drop: Sequence[str], *, privileged: bool) -> frozenset[Capability]:
    """Docker's default set (all when privileged), less `drop`, plus `add`; ``ALL`` means every one."""
    # Root may itself lack some (it does in many containers); a user namespace of one's own begins with all of them.
    every = read().permitted if os.geteuid() == 0 else frozenset(Capability)
    chosen = every if privileged else DOCKER_DEFAULT
    added = every if _every(add) else _named(add)
    return (chosen - _named(drop)) | added


def volumes(given: Mapping[str, Mapping[str, str]] | Sequence[str] | None) -> tuple[Volume, ...]:
    """docker-py's mapping, or docker's ``/host:/inside[:ro]`` texts. Raises: UsageError."""
    if given is None:
        return ()
    if isinstance(given, Mapping):
        chosen = [Volume(source, how["bind"], how.get("mode", "rw")) for source, how in given.items()]
    else:
        chosen = [_volume(text) for text in given]
    for volume in chosen:
        _check_volume(volume)
    return tuple(chosen)


def working_dir(given: str | None) -> str | None:
    """The directory in which the command starts; it is made if it is not there. Raises: UsageError."""
    if given is not None and (not given.startswith("/") or "\0" in given):
        raise UsageError("workdir", given, "it must be an absolute path")
    return given


def policy(given: bool | Mapping[str, Any] | None) -> bool | Mapping[str, Any]:
    """A seccomp policy in docker's format or a bundle's; True is docker's own, False none. Raises: UsageError."""
    if given is None or isinstance(given, bool):
        return given is not False
    if not isinstance(given, Mapping):
        raise UsageError("seccomp", given, "give False, or a policy: the JSON object of a profile")
    return given


def name(given: str | None) -> str | None:
    """A container's name. Raises: UsageError."""
    if given is not None and not _NAME.fullmatch(given):
        raise UsageError("name", given, "use two or more of letters, digits, _ . -, and begin with a letter or digit")
    return given


def hostname(given: str | None) -> str | None:
    """A host name. Raises: UsageError (the Linux kernel takes 64 bytes)."""
    if given is not None and (not given or len(given.encode()) > 64 or "\0" in given):
        raise UsageError("hostname", given, "it must have 1 to 64 bytes")
    return given


def network_mode(given: str) -> Literal["none", "host"]:
    """``none`` or ``host``. Raises: UsageError."""
    if given == "none":
        return "none"
    if given == "host":
        return "host"
    raise UsageError("network", given, "choose none (a network namespace with a loopback) or host")


def restart(given: Mapping[str, Any] | None) -> Restart:
    """docker-py's ``{"Name": "on-failure", "MaximumRetryCount": 3}``. Raises: UsageError."""
    if given is None:
        return Restart()
    policy, retries = str(given.get("Name") or "no"), int(given.get("MaximumRetryCount") or 0)
    if policy not in _POLICIES:
        raise UsageError("restart policy", policy, f"choose from {', '.join(_POLICIES)}")
    if retries < 0 or (retries and policy != "on-failure"):
        raise UsageError(
            "restart policy", f"{policy}:{retries}", "only on-failure takes a number of retries, from 0 on"
        )
    return Restart(policy, retries)


def check_removal(options: Options) -> None:
    """A container that is removed when it ends cannot also be started again. Raises: UsageError."""
    if options.remove and options.restart.policy != "no":
        raise UsageError("restart policy", options.restart.policy, "a container with --rm is gone when it has ended")


def health(given: Mapping[str, Any] | None) -> Health | None:
    """docker-py's health check: ``{"test": ["CMD-SHELL", "…"], "interval": ns, "timeout": ns, "retries": n,
    "start_period": ns}``. Raises: UsageError."""
    if given is None:
        return None
    test = given.get("test") or []
    kind, *rest = ["CMD-SHELL", test] if isinstance(test, str) else test or ["NONE"]
    if kind == "NONE":
        return None
    if kind not in ("CMD", "CMD-SHELL") or not rest:
        raise UsageError("health check", test, 'write ["CMD", program, argument…] or ["CMD-SHELL", "a shell command"]')
    command = ("/bin/sh", "-c", *rest) if kind == "CMD-SHELL" else tuple(str(word) for word in rest)
    chosen = Health(command, retries=int(given.get("retries", 3)))
    seconds = {name: given[name] / 10**9 for name in ("interval", "timeout", "start_period", "start_interval")
               if given.get(name)}  # fmt: skip
    if chosen.retries < 1 or any(value < 0.001 for value in seconds.values()):
        raise UsageError("health check", given, "retries count from 1, and no time is below a millisecond")
    return replace(chosen, **{f"{name}_s": value for name, value in seconds.items()})


def stop_signal(given: str | int | None) -> str | None:
    """The signal that asks a container to end. Raises: UsageError."""
    if given is None:
        return None
    signals.number(given)
    return str(given)


def log_config(given: Mapping[str, Any] | None) -> Mapping[str, str] | None:
    """docker-py's ``{"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}`` as the log's options; None
    for the driver ``none``. Raises: UsageError."""
    chosen = {name.lower(): value for name, value in (given or {}).items()}
    driver = chosen.get("type") or "json-file"
    config = {name: str(value) for name, value in (chosen.get("config") or {}).items()}
    if driver == "none":
        return None
    if driver != "json-file":
        raise UsageError("log driver", driver, "choose json-file or none")
    Rotation.of(config)
    return config


def _check_volume(volume: Volume) -> None:
    text = f"{volume.source}:{volume.bind}"
    if not volume.source.startswith("/") or not volume.bind.startswith("/") or volume.bind == "/":
        raise UsageError("volume", text, "both paths must be absolute, and the second cannot be /")
    if not os.path.exists(volume.source):
        raise UsageError("volume", text, f"{volume.source} does not exist on this machine")
    if set(volume.mode.split(",")) - {"rw", "ro", "z", "Z"}:
        raise UsageError("volume", volume.mode, "the mode is ro or rw")


def _volume(text: str) -> Volume:
    parts = text.split(":")
    if len(parts) not in (2, 3):
        raise UsageError("volume", text, "write /on/the/host:/inside or /on/the/host:/inside:ro")
    source = os.path.abspath(os.path.expanduser(parts[0])) if parts[0].startswith((".", "~")) else parts[0]
    return Volume(source, *parts[1:])


def _every(names: Sequence[str]) -> bool:
    return any(name.upper() == "ALL" for name in names)


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


def _pair(text: str) -> tuple[str, str | None]:
    key, separator, value = text.partition("=")
    return key, value if separator else None
