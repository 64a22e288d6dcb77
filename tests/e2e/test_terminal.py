"""``lab run -t`` on a real terminal: what goes through, and in which state it is left."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from labcontainer.kernel import pty
from labcontainer.runtime import state
from tests.leaks import SLOW

if TYPE_CHECKING:
    from labcontainer.engine import Engine


# The terminal becomes the controlling one of a session of its own: ctrl-C and SIGWINCH reach those in its foreground.
AS_A_TERMINAL_PROGRAM = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """A terminal as a terminal program has it, and ``lab run`` started in it as a shell would."""

    def __init__(self, engine: Engine) -> None:
        self.controller, self._terminal = os.openpty()
        pty.set_size(self.controller, pty.Size(33, 101))
        self.before = termios.tcgetattr(self._terminal)
        self.output = b""
        self._places = {"LABCONTAINER_ROOT": str(engine.root), "LABCONTAINER_RUN": str(engine.run)}
        self._started: list[subprocess.Popen[bytes]] = []

    def run(self, *words: str) -> subprocess.Popen[bytes]:
        around = [sys.executable, "-c", AS_A_TERMINAL_PROGRAM, sys.executable, "-m", "labcontainer.cli", "run"]
        client = subprocess.Popen(
            [*around, "--rm", *words], stdin=self._terminal, stdout=self._terminal, stderr=self._terminal,
            env={**os.environ, **self._places},
        )  # fmt: skip
        self._started.append(client)
        return client

    def type(self, data: bytes) -> None:
        os.write(self.controller, data)

    def until(self, text: bytes) -> None:
        while text not in self.output:
            self.read(30 * SLOW)

    def read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self.controller], [], [], seconds)
        assert ready or not seconds, f"nothing more than {self.output!r}"
        self.output += os.read(self.controller, 65536) if ready else b""
        return bool(ready)

    def exit_code(self, client: subprocess.Popen[bytes]) -> int:
        """How `client` ended; the terminal must be as it was before."""
        code = client.wait(timeout=30 * SLOW)
        while self.read(0):
            pass
        assert termios.tcgetattr(self._terminal) == self.before, "the terminal was left in another mode"
        return code

    @property
    def raw(self) -> bool:
        flags = termios.tcgetattr(self._terminal)[3]
        assert isinstance(flags, int)
        return not flags & termios.ICANON

    def close(self) -> None:
        for client in self._started:
            client.kill()
            client.wait()
        os.close(self._terminal)
        os.close(self.controller)


@pytest.fixture
def terminal(engine: Engine) -> Iterator[Terminal]:
    terminal = Terminal(engine)
    yield terminal
    for container in engine.containers.list(all=True):
        container.remove(force=True)
    terminal.close()


def test_the_container_has_a_terminal_as_large_as_ours(terminal: Terminal) -> None:
    client = terminal.run("-it", "lab/base", "sh", "-c", "test -t 0 && test -t 1 && test -t 2 && stty size; exit 4")
    assert terminal.exit_code(client) == 4
    assert terminal.output == b"33 101\r\n"


def test_a_resized_terminal_is_resized_inside(terminal: Terminal) -> None:
    terminal.run("-it", "lab/base", "sh", "-c", "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done")
    terminal.until(b"ready")
    pty.set_size(terminal.controller, pty.Size(7, 13))
    terminal.until(b"7 13")


def test_what_is_typed_is_echoed_once_and_ctrl_d_ends_it(terminal: Terminal) -> None:
    client = terminal.run("-it", "lab/base", "sh", "-c", "echo ready; cat; echo end")
    terminal.until(b"ready")
    terminal.type(b"typed\r\x04")
    assert terminal.exit_code(client) == 0
    assert terminal.output == b"ready\r\ntyped\r\ntyped\r\nend\r\n"


@pytest.mark.parametrize("flags", ["-it", "-t"])
def test_ctrl_c_interrupts_the_command_and_not_lab(terminal: Terminal, flags: str) -> None:
    script = "trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.05; done"
    client = terminal.run(flags, "lab/base", "sh", "-c", script)
    terminal.until(b"ready")
    assert terminal.raw is (flags == "-it")
    terminal.type(b"\x03")
    assert terminal.exit_code(client) == 9
    assert b"interrupted" in terminal.output


def kill_container(engine: Engine, client: subprocess.Popen[bytes]) -> int:
    engine.containers.list()[0].kill()
    return 137


def kill_monitor(engine: Engine, client: subprocess.Popen[bytes]) -> int:
    monitor = state.load(engine.containers.list()[0].directory).monitor
    assert monitor is not None
    os.kill(monitor.pid, signal.SIGKILL)
    return 125


def terminate_client(engine: Engine, client: subprocess.Popen[bytes]) -> int:
    client.terminate()  # passed on to a shell that ends by it
    return 143


@pytest.mark.parametrize("end", [kill_container, kill_monitor, terminate_client])
def test_the_terminal_is_given_back_as_it_was_however_the_container_ends(
    engine: Engine, terminal: Terminal, end: Callable[[Engine, subprocess.Popen[bytes]], int]
) -> None:
    client = terminal.run(
        "-it", "lab/base", "sh", "-c", "trap 'exit 143' TERM; echo ready; while :; do sleep 0.05; done"
    )
    terminal.until(b"ready")
    assert terminal.raw
    expected = end(engine, client)
    assert terminal.exit_code(client) == expected


def test_a_command_that_is_not_found_leaves_the_terminal_alone(terminal: Terminal) -> None:
    client = terminal.run("-it", "lab/base", "no-such-command")
    assert terminal.exit_code(client) == 127
    assert b"not found" in terminal.output
