"""``lab``: docker's verbs on this machine's own Linux kernel.

One file a verb or noun, imported when it is used: starting a container must not wait for a table's typesetter.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from labcontainer.errors import InitError, LabError, told

if TYPE_CHECKING:
    from labcontainer.engine import Engine

# verb → (module, function); `lab --help` needs the one line without importing the module.
_COMMANDS = {
    "attach": ("inside", "attach", "Show what a running container writes, and pass stdin on."),
    "create": ("run", "create", "Make a container from an image, to be started later."),
    "cp": ("files", "cp", "Copy files between a container and the host."),
    "diff": ("files", "diff", "Show what a container has changed in its root."),
    "doctor": ("doctor", "doctor", "Try what this machine can do, and say what mends the rest."),
    "events": ("events", "events", "Show what happens to containers, as it happens."),
    "exec": ("inside", "execute", "Run one more command in a running container."),
    "explain": ("explain", "explain", "Show what a run would do, before it is done."),
    "export": ("files", "export", "Write the whole root of a container as a tar archive."),
    "images": ("images", "images", "List images."),
    "inspect": ("inspect", "inspect", "Show all that is known of containers and images."),
    "kill": ("life", "kill", "Send a signal to a container."),
    "logs": ("logs", "logs", "Print what a container has written."),
    "pause": ("life", "pause", "Stop every process of a container where it stands."),
    "ps": ("ps", "ps", "List containers."),
    "restart": ("life", "restart", "Stop a container, and start it again."),
    "rm": ("life", "rm", "Remove containers."),
    "run": ("run", "run", "Create a container from an image and run a command in it."),
    "start": ("life", "start", "Start a created container."),
    "stats": ("stats", "stats", "Show what containers use, as they use it."),
    "stop": ("life", "stop", "Stop containers: SIGTERM, then SIGKILL."),
    "top": ("files", "top_", "List the processes of a container."),
    "unpause": ("life", "unpause", "Let a paused container go on."),
    "update": ("limits", "update", "Give containers other limits, while they run."),
    "wait": ("life", "wait", "Wait for containers to end and print their exit codes."),
}


class Session:
    """What a verb gets from click: the engine, opened when it is first asked for."""

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def engine(self) -> Engine:
        """The user's engine; what it had to mend is said on stderr."""
        if self._engine is None:
            from labcontainer.engine import from_env

            self._engine = from_env()
            for line in self._engine.mended:
                click.echo(f"mended: {line}", err=True)
        return self._engine


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, function, _ = _COMMANDS[name]
        command = getattr(importlib.import_module(f"labcontainer.cli.{module}"), function)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in sorted(_COMMANDS.items())])


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="labcontainer")
@click.pass_context
def lab(ctx: click.Context) -> None:
    """Containers on your own Linux kernel, every step of them in the open."""
    ctx.obj = Session()


def main() -> None:
    """Run ``lab`` and exit as docker would: 125 where labcontainer itself fails, 126 and 127 as a shell says."""
    try:
        lab.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(125 if isinstance(error, click.UsageError) else error.exit_code)
    except InitError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        # Whoever read our output has gone (lab ps | head): that is no fault. What Python still holds goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        _fail(told(error) + _remedy(error), 125 if sys.argv[1:2] == ["run"] else 1)
    except LabError as error:
        _fail(str(error), 125 if sys.argv[1:2] == ["run"] else 1)


def _remedy(error: OSError) -> str:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return ""
    from labcontainer.engine.engine import default_directories

    return f"; see df -h {' '.join(map(str, default_directories()))}"


def _fail(reason: str, code: int) -> None:
    click.echo(f"lab: {reason}", err=True)
    sys.exit(code)
