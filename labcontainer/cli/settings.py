"""The options that ``lab run``, ``lab create`` and ``lab explain run`` share: docker's flags, docker-py's names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from labcontainer.cli import limits

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FLAGS = (
    click.option("--rm", "remove", is_flag=True, help="Remove the container when it has ended."),
    click.option("-i", "--interactive", "stdin_open", is_flag=True, help="Pass stdin on."),
    click.option("-t", "--tty", "tty", is_flag=True, help="Give it a terminal."),
    click.option("-e", "--env", "environment", multiple=True, metavar="NAME=VALUE", help="Set a variable."),
    click.option("--env-file", "env_files", multiple=True, type=_FILE, help="Set the variables of a file."),
    click.option("-w", "--workdir", "working_dir", help="Working directory inside."),
    click.option("-u", "--user", "user", metavar="NAME|UID[:GROUP]", help="Run as this user of the image."),
    click.option("-h", "--hostname", "hostname", help="Host name inside."),
    click.option("--name", "name", help="A name for the container."),
    click.option("--entrypoint", "entrypoint", help="Run this instead of the image's entrypoint."),
    *limits.FLAGS,
    click.option("--network", "network_mode", default="none", show_default=True, metavar="none|host"),
    click.option("--read-only", "read_only", is_flag=True, help="Mount the root read-only."),
    click.option("--cap-add", "cap_add", multiple=True, metavar="NAME", help="Add a capability (ALL: every one)."),
    click.option("--cap-drop", "cap_drop", multiple=True, metavar="NAME", help="Drop a capability."),
    click.option("--privileged", "privileged", is_flag=True, help="All capabilities, no filter, no masks."),
    click.option(
        "--security-opt", "security_opt", multiple=True, metavar="no-new-privileges|seccomp=unconfined|seccomp=FILE"
    ),
    click.option("-v", "--volume", "volumes", multiple=True, metavar="/HOST:/INSIDE[:ro]", help="Bind a host path."),
    click.option("--log-driver", "log_driver", metavar="json-file|none", help="Where the output is kept."),
    click.option("--log-opt", "log_opts", multiple=True, metavar="NAME=VALUE", help="max-size=10m, max-file=3."),
    click.option("-l", "--label", "labels", multiple=True, metavar="NAME=VALUE", help="Set metadata."),
    click.option("--label-file", "label_files", multiple=True, type=_FILE, help="Set the metadata of a file."),
    click.option("--init", "init", is_flag=True, help="A PID 1 that waits for orphans and passes signals on."),
    click.option("--restart", "restart", metavar="no|on-failure[:N]|always|unless-stopped", help="When it has ended."),
    click.option("--stop-signal", "stop_signal", help="The signal that asks it to end."),
    click.option("--stop-timeout", "stop_timeout", type=float, help="Seconds until it is killed after that."),
    click.option("--health-cmd", "health_cmd", help="A shell command that tells whether it is well."),
    click.option("--health-interval", "health_interval", metavar="30s", help="Time between two checks."),
    click.option("--health-timeout", "health_timeout", metavar="30s", help="Most time for one check."),
    click.option("--health-retries", "health_retries", type=int, help="Failures in a row that make it unhealthy."),
    click.option("--health-start-period", "health_start_period", metavar="0s", help="Time in which none counts."),
    click.option("--no-healthcheck", "no_healthcheck", is_flag=True, help="None, not even the image's."),
)


def container_options(function: F) -> F:
    """Give a click command all of the flags above."""
    for option in reversed(_FLAGS):
        function = option(function)
    return function


def settings(given: dict[str, Any]) -> dict[str, Any]:
    """click's parameters as keyword arguments of ``engine.containers.create``. Raises: click.UsageError."""
    # A 0 was typed by somebody: it must not be taken for a flag that was left out.
    chosen = {name: value for name, value in given.items() if value not in (None, ()) and value is not False}
    limits.rename(chosen)
    chosen["environment"] = [*variables(chosen.pop("env_files", ())), *chosen.get("environment", ())]
    labels = [*_lines(chosen.pop("label_files", ())), *chosen.pop("labels", ())]
    chosen["labels"] = dict(text.partition("=")[::2] for text in labels)
    if "restart" in chosen:
        chosen["restart_policy"] = limits.restart_policy(chosen.pop("restart"))
    check = _health_check(chosen)
    if check is not None:
        chosen["healthcheck"] = check
    driver, opts = chosen.pop("log_driver", None), chosen.pop("log_opts", ())
    if driver or opts:
        chosen["log_config"] = {"Type": driver, "Config": dict(text.partition("=")[::2] for text in opts)}
    for text in chosen.pop("security_opt", ()):
        if text in ("no-new-privileges", "no-new-privileges=true", "no-new-privileges:true"):
            chosen["no_new_privileges"] = True
        elif text in ("seccomp=unconfined", "seccomp:unconfined"):
            chosen["seccomp"] = False
        elif text.startswith(("seccomp=", "seccomp:")):
            chosen["seccomp"] = _policy(text[len("seccomp=") :])
        else:
            raise click.UsageError(
                f"--security-opt {text}: choose no-new-privileges, seccomp=unconfined or seccomp=FILE"
            )
    return chosen


def variables(files: Iterable[Path]) -> list[str]:
    """The variables of ``--env-file``s: one a line, ``NAME=value`` or ``NAME`` for the caller's; # begins a comment."""
    return list(_lines(files))


def _lines(files: Iterable[Path]) -> Iterable[str]:
    for path in files:
        for line in path.read_text().splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield line.lstrip()


def _health_check(chosen: dict[str, Any]) -> dict[str, Any] | None:
    names = ("cmd", "interval", "timeout", "retries", "start_period")
    given = {name: chosen.pop(f"health_{name}") for name in names if f"health_{name}" in chosen}
    if chosen.pop("no_healthcheck", False):
        if given:
            raise click.UsageError("--no-healthcheck and --health-* exclude each other")
        return {"test": ["NONE"]}
    if not given:
        return None
    if "cmd" not in given:
        raise click.UsageError("--health-interval and its kind need --health-cmd")
    times: dict[str, Any] = {
        name: _nanoseconds(name, given[name]) for name in ("interval", "timeout", "start_period") if name in given
    }
    return {"test": ["CMD-SHELL", given["cmd"]], "retries": given.get("retries", 3), **times}


def _nanoseconds(name: str, text: str) -> int:
    """``1m30s``, ``500ms`` in nanoseconds. Raises: click.UsageError."""
    units = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise click.UsageError(f"--health-{name.replace('_', '-')} {text}: write a time such as 30s, 1m30s or 500ms")
    return round(sum(float(number) * units[unit] for number, unit in parts))


def _policy(path: str) -> Any:
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--security-opt seccomp={path}: no seccomp policy: {error}") from None
