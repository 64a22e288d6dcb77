"""``lab``: docker's verbs on this machine's own Linux kernel.

One file a verb or noun; `verbs` tells which is found where.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from labcontainer.cli.verbs import LAB, Verbs
from labcontainer.errors import InitError, LabError, told

if TYPE_CHECKING:
    from labcontainer.engine import Engine


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


class _ReaderGone(Exception):
    """Whoever read our output has gone (``lab ps | head``)."""


class _Lab(Verbs):
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise _ReaderGone from None  # click would take it for a failure, and exit 1


@click.command(cls=_Lab, table=LAB, context_settings={"help_option_names": ["-h", "--help"]})
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
        if isinstance(error, click.NoSuchOption):
            from labcontainer.cli.unserved import explained

            error = explained(error)
        error.show()
        sys.exit(125 if isinstance(error, click.UsageError) else error.exit_code)
    except InitError as error:
        _fail(str(error), error.exit_code)
    except _ReaderGone:
        # That is no fault. What Python still holds goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        _fail(told(error) + _remedy(error), _failure())
    except LabError as error:
        _fail(str(error), _failure())


def _failure() -> int:
    words = sys.argv[2:] if sys.argv[1:2] == ["container"] else sys.argv[1:]
    return 125 if words[:1] == ["run"] else 1  # of `run`, 1 would be the command's own


def _remedy(error: OSError) -> str:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return ""
    from labcontainer.engine.engine import default_directories

    return f"; see df -h {' '.join(map(str, default_directories()))}"


def _fail(reason: str, code: int) -> None:
    click.echo(f"lab: {reason}", err=True)
    sys.exit(code)
