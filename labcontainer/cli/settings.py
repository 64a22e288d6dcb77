"""The options that ``lab run``, ``lab create`` and ``lab explain run`` share: docker's flags, docker-py's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_FLAGS = (
    click.option("--rm", "remove", is_flag=True, help="Remove the container when it has ended."),
    click.option("-i", "--interactive", "stdin_open", is_flag=True, help="Pass stdin on."),
    click.option("-t", "--tty", "tty", is_flag=True, help="Give it a terminal."),
    click.option("-e", "--env", "environment", multiple=True, metavar="NAME=VALUE", help="Set a variable."),
    click.option("-w", "--workdir", "working_dir", help="Working directory inside."),
    click.option("-u", "--user", "user", metavar="NAME|UID[:GROUP]", help="Run as this user of the image."),
    click.option("-h", "--hostname", "hostname", help="Host name inside."),
    click.option("--name", "name", help="A name for the container."),
    click.option("--entrypoint", "entrypoint", help="Run this instead of the image's entrypoint."),
    click.option("-m", "--memory", "mem_limit", metavar="SIZE", help="Most memory: 64m, 1g."),
    click.option("--cpus", "cpus", type=float, metavar="N", help="Most CPUs: 0.5."),
    click.option("--pids-limit", "pids_limit", type=int, metavar="N", help="Most processes and threads."),
    click.option("--network", "network_mode", default="none", show_default=True, metavar="none|host"),
    click.option("--read-only", "read_only", is_flag=True, help="Mount the root read-only."),
    click.option("--cap-add", "cap_add", multiple=True, metavar="NAME", help="Add a capability (ALL: every one)."),
    click.option("--cap-drop", "cap_drop", multiple=True, metavar="NAME", help="Drop a capability."),
    click.option("--privileged", "privileged", is_flag=True, help="All capabilities, no filter, no masks."),
    click.option("--security-opt", "security_opt", multiple=True, metavar="no-new-privileges|seccomp=unconfined"),
    click.option("-v", "--volume", "volumes", multiple=True, metavar="/HOST:/INSIDE[:ro]", help="Bind a host path."),
    click.option("-l", "--label", "labels", multiple=True, metavar="NAME=VALUE", help="Set metadata."),
)


def container_options(function: F) -> F:
    """Give a click command all of the flags above."""
    for option in reversed(_FLAGS):
        function = option(function)
    return function


def settings(given: dict[str, Any]) -> dict[str, Any]:
    """click's parameters as keyword arguments of ``engine.containers.open``. Raises: click.UsageError."""
    # A 0 was typed by somebody: it must not be taken for a flag that was left out.
    chosen = {name: value for name, value in given.items() if value not in (None, ()) and value is not False}
    cpus = chosen.pop("cpus", None)
    if cpus is not None:
        chosen["nano_cpus"] = cpus * 10**9
    if "labels" in chosen:
        chosen["labels"] = dict(text.partition("=")[::2] for text in chosen["labels"])
    for text in chosen.pop("security_opt", ()):
        if text in ("no-new-privileges", "no-new-privileges=true", "no-new-privileges:true"):
            chosen["no_new_privileges"] = True
        elif text in ("seccomp=unconfined", "seccomp:unconfined"):
            chosen["seccomp"] = False
        else:
            raise click.UsageError(f"--security-opt {text}: choose no-new-privileges or seccomp=unconfined")
    return chosen
