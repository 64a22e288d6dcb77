"""The words that ``%load_ext labcontainer`` adds to a notebook.

    %%child [--userns|--root] [--keep NAME] [--give NAME,…] …           the cell, in a fresh process with one thread
    %lab ps -a                                                          the command line, on this notebook's engine
    %%container lab/base -m 64m                                         the cell, by a shell in a container

All output is printed from Python: what a child process writes to the notebook kernel's own fd 1 is lost. The exit code
of the last ``%lab`` or ``%%container`` is in ``_exit_code``, as it is after ``!command``.
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import shlex
import subprocess
import sys
import threading
from typing import Any, NoReturn

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.display import display

from labcontainer.lessons import child as children
from labcontainer.lessons.bench import Lab
from labcontainer.lessons.child import Child


class _Words(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}")


_CHILD = _Words(prog="%%child", add_help=False, allow_abbrev=False)
_RIGHTS = _CHILD.add_mutually_exclusive_group()
_RIGHTS.add_argument("--userns", action="store_true")
_RIGHTS.add_argument("--root", action="store_true")
_CHILD.add_argument("--keep", default="")
_CHILD.add_argument("--trace", default="")
_CHILD.add_argument("--give", default="")
_CHILD.add_argument("--exercise", default="")


def load_ipython_extension(shell: InteractiveShell) -> None:
    """What ``%load_ext labcontainer`` calls."""
    shell.register_magics(LessonMagics)


class ChildFailed(Exception):
    """A cell's code failed in its child, which has printed its own traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@magics_class
class LessonMagics(Magics):
    """The magics, bound to one shell whose variables they read and set."""

    shell: InteractiveShell

    @cell_magic
    def child(self, line: str, cell: str) -> None:
        """Run the cell in a fresh process with one thread, in which namespaces may be made and joined.

        What it starts ends with it. An exception in it fails the cell.

        --userns      become root of a new user namespace first, whether root or not; nobody else exists in it
        --root        be root among other users: really, or in a user namespace with your range of ids; own mounts
        --keep NAME   leave the process running: NAME.pid, NAME.alive, NAME.end()
        --trace NAME  record its system calls into the variable NAME
        --give A,B    give it copies of these variables of the notebook
        --exercise E  say the lab's task E first, and its verdict on the child afterwards (with --keep)
        """
        options = _CHILD.parse_args(shlex.split(line))
        given = {name: self._variable(name) for name in options.give.split(",") if name}
        if missing := [name for name, value in given.items() if isinstance(value, Child) and value.refused]:
            _print(f"This cell needs {missing[0]}, which could not be made on your machine.\n")
            return
        before = self.shell.user_ns.get(options.keep)
        if isinstance(before, Child):
            before.end()
        if options.exercise:
            display(self._lab().task(options.exercise))  # type: ignore[no-untyped-call]
        done = children.start(
            cell,
            output=_print,
            keep=options.keep,
            userns=options.userns,
            root=options.root,
            traced=bool(options.trace),
            given=given,
        )
        if options.keep:
            self.shell.user_ns[options.keep] = done
        if options.trace:
            self.shell.user_ns[options.trace] = done.events
        if options.exercise:
            display(self._lab().check(options.exercise, done))  # type: ignore[no-untyped-call]
        if done.exit_code:
            raise ChildFailed(f"the child ended with exit code {done.exit_code}")

    @line_magic
    def lab(self, line: str) -> None:
        """Run ``lab`` with these words on this notebook's engine. Its exit code is in ``_exit_code``."""
        self._run([sys.executable, "-I", "-m", "labcontainer.cli", *shlex.split(line)], b"")

    @cell_magic
    def container(self, line: str, cell: str) -> None:
        """Run the cell by ``sh`` (with --python by ``python3``) in a container: ``%%container IMAGE [flags]``.

        The flags are those of ``lab run``.
        The container is removed when it has ended, unless it has a --name. Its exit code is in ``_exit_code``.
        """
        words = shlex.split(line)
        if not words or words[0].startswith("-"):
            raise UsageError("the image comes first: %%container lab/base -m 64m")
        image, *flags = words
        command = ["sh", "-s"]
        if "--python" in flags:
            flags.remove("--python")
            command = ["python3", "-"]
        if not any(flag.split("=")[0] == "--name" for flag in flags):
            flags.append("--rm")
        run = [sys.executable, "-I", "-m", "labcontainer.cli", "run", "-i", *flags, image, *command]
        self._run(run, cell.encode())

    def _variable(self, name: str) -> Any:
        if name not in self.shell.user_ns:
            raise UsageError(f"there is no variable called {name}")
        return self.shell.user_ns[name]

    def _lab(self) -> Lab:
        for value in reversed(self.shell.user_ns.values()):
            if isinstance(value, Lab):
                return value
        raise UsageError('there is no lab: run the first cell, with lab = Lab("…")')

    def _run(self, command: list[str], text: bytes) -> None:
        self.shell.user_ns["_exit_code"] = _piped(command, text)


def _piped(command: list[str], text: bytes) -> int:
    """Run `command` with `text` as its stdin, print what it says while it says it, and return its exit code."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    # A thread feeds, so that neither side waits for the other with a full pipe.
    feeder = threading.Thread(target=_feed, args=(process, text))
    feeder.start()
    decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
    try:
        while data := process.stdout.read1(65536):  # type: ignore[attr-defined]
            _print(decode(data))
    except BaseException:
        process.terminate()  # an interrupt goes on to the container as SIGTERM, as docker's --sig-proxy does
        raise
    finally:
        feeder.join()
        process.stdout.close()
        code = process.wait()
    return code if code >= 0 else 128 - code


def _feed(process: subprocess.Popen[bytes], text: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(text)


def _print(text: str) -> None:
    # Not flushed: ipykernel gathers pieces for a fifth of a second, and puts all out before the cell ends.
    sys.stdout.write(text)
