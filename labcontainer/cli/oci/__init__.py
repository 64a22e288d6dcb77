"""``lab-runtime``: an OCI runtime with runc's command line, for podman, containerd and whoever else starts runc.

    podman --runtime lab-runtime run …        ctr run --runc-binary lab-runtime …

See: https://github.com/opencontainers/runtime-tools/blob/master/docs/command-line-interface.md, man 8 runc
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

from labcontainer.errors import InitError, LabError, told
from labcontainer.runtime.oci_state import Place

# command → (module, function); each is imported when it is used, for a start is a start of Python.
_COMMANDS = {
    "create": ("create", "create"),
    "run": ("create", "run"),
    "start": ("create", "start"),
    "exec": ("execute", "execute"),
    "state": ("manage", "state"),
    "kill": ("manage", "kill"),
    "delete": ("manage", "delete"),
    "pause": ("manage", "pause"),
    "resume": ("manage", "resume"),
    "list": ("show", "list_"),
    "ps": ("show", "ps"),
    "events": ("show", "events"),
    "features": ("show", "features"),
    "spec": ("show", "spec"),
    "update": ("update", "update"),
}


@dataclass(slots=True)
class Session:
    """What is said before the command: where containers are remembered, and where errors are told."""

    root: Path
    log: Path | None = None
    log_format: str = "text"

    def place(self, id: str) -> Place:
        """Where the container `id` is remembered."""
        return Place(self.root, id)

    def tell(self, message: str) -> None:
        """An error, on stderr or in the log that was asked for, in the form that was asked for."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = f'time="{now}" level=error msg={json.dumps(message)}'
        if self.log_format == "json":
            line = json.dumps({"level": "error", "msg": message, "time": now})
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(line + "\n")
        if self.log is None or self.log_format == "text":
            click.echo(line, err=True)


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, function = _COMMANDS[name]
        command = getattr(importlib.import_module(f"labcontainer.cli.oci.{module}"), function)
        assert isinstance(command, click.Command)
        return command


def _default_root() -> Path:
    if os.geteuid() == 0:
        return Path("/run/lab-runtime")
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/lab-runtime-{os.geteuid()}") / "lab-runtime"


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--root", type=click.Path(path_type=Path), help="Where containers are remembered.")
@click.option("--log", type=click.Path(path_type=Path), help="Tell errors in this file.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text")
@click.option("--debug", is_flag=True, help="Taken for runc's sake; there is nothing more to say.")
@click.option("--systemd-cgroup", is_flag=True, help="Read linux.cgroupsPath as slice:prefix:name, which is also seen.")
@click.option("--rootless", help="Taken for runc's sake; the user tells.")
@click.version_option(package_name="labcontainer", message="lab-runtime version %(version)s\nspec: 1.2.0")
@click.pass_context
def runtime(
    ctx: click.Context, root: Path | None, log: Path | None, log_format: str, debug: bool, systemd_cgroup: bool,
    rootless: str | None,
) -> None:  # fmt: skip
    """Run containers from OCI bundles."""
    ctx.obj = Session(root or _default_root(), log, log_format)


def main() -> None:
    """Run ``lab-runtime``; exits 1 after an error, as runc does, and as the command does for run and exec."""
    session = Session(_default_root())
    try:
        with runtime.make_context("lab-runtime", sys.argv[1:]) as ctx:
            try:
                runtime.invoke(ctx)
            finally:
                session = ctx.obj or session
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(1)
    except InitError as error:
        # podman knows by these words, runc's, whether the command was missing or could not be executed.
        words = {126: ": permission denied", 127: ": executable file not found in $PATH"}
        session.tell(f"{error}{words.get(error.exit_code, '')}")
        sys.exit(1)
    except (LabError, OSError) as error:
        session.tell(told(error) if isinstance(error, OSError) else str(error))
        sys.exit(1)
