"""The flags that say how a container ends, how it is looked after, and where its output goes."""

from __future__ import annotations

import re
from typing import Any

import click

from labcontainer.cli.limits import restart_policy

_HEALTH = {
    "cmd": ("TEXT", "A shell command that tells whether it is well."),
    "interval": ("30s", "Time between two checks."),
    "timeout": ("30s", "Most time for one check."),
    "retries": ("N", "Failures in a row that make it unhealthy."),
    "start-period": ("0s", "Time in which none counts."),
    "start-interval": ("5s", "Time between two checks in it."),
}
_TIMES = ("interval", "timeout", "start_period", "start_interval")
FLAGS = (
    click.option("--log-driver", "log_driver", metavar="json-file|local|none", help="Where the output is kept."),
    click.option("--log-opt", "log_opts", multiple=True, metavar="NAME=VALUE", help="max-size=10m, max-file=3."),
    click.option("--restart", "restart", metavar="no|on-failure[:N]|always|unless-stopped", help="When it has ended."),
    click.option("--stop-signal", "stop_signal", help="The signal that asks it to end."),
    click.option("--stop-timeout", "stop_timeout", type=float, help="Seconds until it is killed after that."),
    *(
        click.option(
            f"--health-{name}", f"health_{name.replace('-', '_')}", metavar=metavar, help=text,
            type=int if name == "retries" else str,
        )
        for name, (metavar, text) in _HEALTH.items()
    ),
    click.option("--no-healthcheck", "no_healthcheck", is_flag=True, help="None, not even the image's."),
)  # fmt: skip


def rename(chosen: dict[str, Any]) -> None:
    """Turn these flags into docker-py's keywords, in place. Raises: click.UsageError."""
    if "restart" in chosen:
        chosen["restart_policy"] = restart_policy(chosen.pop("restart"))
    check = _health_check(chosen)
    if check is not None:
        chosen["healthcheck"] = check
    driver, opts = chosen.pop("log_driver", None), chosen.pop("log_opts", ())
    if driver or opts:
        chosen["log_config"] = {"Type": driver, "Config": dict(text.partition("=")[::2] for text in opts)}


def _health_check(chosen: dict[str, Any]) -> dict[str, Any] | None:
    names = [name.replace("-", "_") for name in _HEALTH]
    given = {name: chosen.pop(f"health_{name}") for name in names if f"health_{name}" in chosen}
    if chosen.pop("no_healthcheck", False):
        if given:
            raise click.UsageError("--no-healthcheck and --health-* exclude each other")
        return {"test": ["NONE"]}
    if not given:
        return None
    if "cmd" not in given:
        raise click.UsageError("--health-interval and its kind need --health-cmd")
    times: dict[str, Any] = {name: _nanoseconds(name, given[name]) for name in _TIMES if name in given}
    return {"test": ["CMD-SHELL", given["cmd"]], "retries": given.get("retries", 3), **times}


def _nanoseconds(name: str, text: str) -> int:
    """``1m30s``, ``500ms`` in nanoseconds. Raises: click.UsageError."""
    units = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise click.UsageError(f"--health-{name.replace('_', '-')} {text}: write a time such as 30s, 1m30s or 500ms")
    return round(sum(float(number) * units[unit] for number, unit in parts))
