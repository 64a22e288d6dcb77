"""The processes of a container as the host sees them; the host's own ps is the oracle."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from labcontainer.engine import top
from labcontainer.errors import StateError
from labcontainer.runtime import processes

if TYPE_CHECKING:
    from labcontainer.engine import Engine
    from tests.needs import Needs


def test_it_says_what_ps_says(engine: Engine, needs: Needs) -> None:
    ps = needs("ps")
    box = engine.containers.run("lab/base", ["sh", "-c", "sleep 61 & exec sleep 60"], detach=True, user="65534")
    try:
        while len(rows := box.top()["Processes"]) < 2 or "sh" in [row[7].split()[0] for row in rows]:
            time.sleep(0.01)
        pids = ",".join(row[1] for row in rows)
        said = subprocess.run([ps, "-f", "-p", pids], capture_output=True, text=True, check=True).stdout.splitlines()
        without_load = [[cell for at, cell in enumerate(line.split(None, 7)) if at != 3] for line in said]
        assert [[cell for at, cell in enumerate(row) if at != 3] for row in rows] == without_load[1:]
        assert box.top("-f")["Titles"] == box.top()["Titles"]
    finally:
        box.remove(force=True)


def test_without_a_cgroup_the_pid_namespace_says_who_is_inside(engine: Engine) -> None:
    box = engine.containers.run("lab/base", ["sh", "-c", "sleep 61 & sleep 62 & wait"], detach=True)
    try:
        while len(rows := box.top()["Processes"]) < 3:
            time.sleep(0.01)
        assert [str(pid) for pid in processes.pids(box.pid)] == sorted((row[1] for row in rows), key=int)
        assert os.getpid() not in processes.pids(box.pid)
    finally:
        box.remove(force=True)


def test_a_paused_container_has_processes_and_a_stopped_one_none(engine: Engine, needs_cgroups: None) -> None:
    box = engine.containers.run("lab/base", ["sleep", "60"], detach=True)
    try:
        box.pause()
        assert [row[7] for row in box.top()["Processes"]] == ["sleep 60"]
        box.unpause()
        box.stop(timeout=0)
        with pytest.raises(StateError, match="list the processes"):
            box.top()
    finally:
        box.remove(force=True)


def test_a_process_cannot_speak_to_the_terminal(engine: Engine) -> None:
    box = engine.containers.run("lab/base", ["sh", "-c", "exec sleep 60", "\x1b[2J\n"], detach=True)
    try:
        assert all(row[7].isprintable() for row in box.top()["Processes"])
    finally:
        box.remove(force=True)
    assert top.printable("a\x1b[1mb\n\x9b") == "a?[1mb??"
