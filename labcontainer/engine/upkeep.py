"""What a monitor is told of its container: when it ends, what its health is, where its output goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from labcontainer.engine import signals
from labcontainer.errors import UsageError
from labcontainer.runtime.log import Rotation
from labcontainer.runtime.request import Health, Restart

_POLICIES = ("no", "on-failure", "always", "unless-stopped")
# docker's local driver keeps five files of 20 MB where nobody says otherwise; json-file keeps all.
_LOCAL = {"max-size": "20m", "max-file": "5"}


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


def check_removal(policy: Restart, *, remove: bool) -> None:
    """A container that is removed when it ends cannot also be started again. Raises: UsageError."""
    if remove and policy.policy != "no":
        raise UsageError("restart policy", policy.policy, "a container with --rm is gone when it has ended")


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
    driver, config = log_driver(given), log_options(given)
    if driver == "none":
        return None
    if driver not in ("json-file", "local"):
        raise UsageError("log driver", driver, "choose json-file, local (json-file with five files of 20m) or none")
    if driver == "local":
        config = {**_LOCAL, **config}
    Rotation.of(config)
    return config


def log_driver(given: Mapping[str, Any] | None) -> str:
    """The driver's name."""
    return str(_lower(given).get("type") or "json-file")


def log_options(given: Mapping[str, Any] | None) -> dict[str, str]:
    """What was said to the driver."""
    return {name: str(value) for name, value in (_lower(given).get("config") or {}).items()}


def _lower(given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name.lower(): value for name, value in (given or {}).items()}
