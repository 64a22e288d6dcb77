"""The verbs of a container's life, as a shell and as a person at a terminal use them."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labcontainer.engine import Engine
from tests.leaks import SLOW

LAB = [sys.executable, "-m", "labcontainer.cli"]


@pytest.fixture
def places(engine: Engine) -> dict[str, str]:
    return {**os.environ, "LABCONTAINER_ROOT": str(engine.root), "LABCONTAINER_RUN": str(engine.run)}


@pytest.fixture
def lab(places: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    def run(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*LAB, *words], input=stdin, capture_output=True, env=places, check=False)

    return run


Lab = Callable[..., subprocess.CompletedProcess[bytes]]


def test_a_container_is_created_started_paused_stopped_and_removed(lab: Lab, tmp_path: Path) -> None:
    id_file = tmp_path / "id"
    made = lab("create", "--name", "box", "--cidfile", str(id_file), "-e", "X=1", "lab/base", "sh", "-c", "echo $X")
    assert made.stdout.decode().strip() == id_file.read_text()
    assert lab("create", "--cidfile", str(id_file), "lab/base").returncode == 125
    assert lab("start", "-a", "box").stdout == b"1\n"
    assert lab("wait", "box").stdout == b"0\n"
    running = lab("run", "-d", "--name", "other", "lab/base", "sleep", "60")
    assert running.returncode == 0
    for verb in ("pause", "unpause", "restart -t 0", "stop -t 0", "start", "kill"):
        said = lab(*verb.split(), "other")
        assert (said.returncode, said.stdout) == (0, b"other\n"), said.stderr
    mixed = lab("rm", "-f", "box", "nobody", "other")
    assert (mixed.returncode, mixed.stdout) == (0, b"box\nother\n")  # docker's: with -f, that is what was wanted
    assert b"no such container: nobody" in mixed.stderr
    assert lab("rm", "nobody").returncode == 1


def test_rm_of_several_does_what_it_can_and_says_what_it_cannot(lab: Lab) -> None:
    lab("run", "-d", "--name", "web", "lab/base", "sleep", "60")
    lab("create", "--name", "one", "lab/base")
    lab("create", "--name", "two", "lab/base")
    done = lab("rm", "-v", "one", "web", "nobody", "two")
    assert (done.returncode, done.stdout) == (1, b"one\ntwo\n")
    running, missing = done.stderr.splitlines()
    assert b"it is running; that is for a container that is created or stopped: stop it first" in running
    assert b"no such container: nobody" in missing
    assert lab("ps", "-a", "--format", "{{.Names}}").stdout == b"web\n"
    lab("rm", "-f", "web")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("run --name box lab/base", 1),
        ("run --rm --name box lab/base", 1),
        ("start -a box", 1),
        ("attach box", 1),
        ("exec box", 141),
    ],
)
def test_where_nobody_reads_any_more_the_container_goes_on(
    lab: Lab, places: dict[str, str], words: str, code: int
) -> None:
    loop = ["sh", "-c", "while echo x; do sleep 0.01; done"]
    if not words.startswith("run"):
        assert lab("run", "-d", "--name", "box", "lab/base", *loop).returncode == 0
    command = words.split() + (loop if words.startswith(("run", "exec")) else [])
    shell = subprocess.Popen([*LAB, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=places)
    assert shell.stdout
    assert shell.stderr
    shell.stdout.readline()
    shell.stdout.close()
    said = shell.stderr.read()
    shell.stderr.close()
    assert (shell.wait(), b"nobody reads the output any more" in said) == (code, code == 1)
    assert b"Traceback" not in said
    assert lab("inspect", "-f", "{{.State.Status}}", "box").stdout == b"running\n"
    lab("rm", "-f", "box")


def test_exec_has_the_commands_exit_code_and_passes_bytes_both_ways(lab: Lab) -> None:
    lab("run", "-d", "--name", "box", "lab/base", "sleep", "60")
    many = bytes(range(256)) * 8192
    assert lab("exec", "-i", "box", "cat", stdin=many).stdout == many
    assert [lab("exec", "box", *command).returncode for command in (["sh", "-c", "exit 4"], ["nope"])] == [4, 127]
    assert lab("exec", "-w", "/tmp", "-e", "A=b", "box", "sh", "-c", "pwd; echo $A").stdout == b"/tmp\nb\n"
    lab("rm", "-f", "box")


def test_more_than_pipes_hold_goes_through_a_container_in_the_foreground(lab: Lab) -> None:
    many = os.urandom(1 << 20) * 4
    assert lab("run", "-i", "--rm", "lab/base", "cat", stdin=many).stdout == many


def test_the_detach_keys_leave_a_container_running_and_the_terminal_as_it_was(lab: Lab, places: dict[str, str]) -> None:
    controller, terminal = pty.openpty()
    command = [*LAB, "run", "-it", "--name", "box", "lab/base", "sh"]
    shell = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=places, close_fds=True)
    try:
        before = subprocess.check_output(["stty", "-a"], stdin=terminal)
        read_until(controller, b"# ")
        os.write(controller, b"echo $((20+3))\n")
        read_until(controller, b"23")
        os.write(controller, b"\x10\x11")
        assert shell.wait(timeout=20 * SLOW) == 0
        assert subprocess.check_output(["stty", "-a"], stdin=terminal) == before
        assert lab("exec", "box", "echo", "alive").stdout == b"alive\n"
    finally:
        shell.kill()
        shell.wait()
        os.close(controller)
        os.close(terminal)
        lab("rm", "-f", "box")


def read_until(fd: int, wanted: bytes) -> None:
    said, deadline = b"", time.monotonic() + 20 * SLOW
    while wanted not in said:
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"waited for {wanted!r}, and saw {said!r}"
        said += os.read(fd, 4096)
