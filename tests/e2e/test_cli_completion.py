"""What a shell is told at the tab key, and that a real bash takes the script."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from labcontainer.engine import Engine
    from tests.e2e.conftest import Lab


@pytest.fixture
def three(engine: Engine, lab: Lab) -> None:
    """One that runs, one that has ended, one that never began."""
    engine.containers.run("lab/base", ["sleep", "60"], name="web", detach=True)
    engine.containers.run("lab/base", ["true"], name="job", detach=True).wait(timeout=60)
    engine.containers.create("lab/base", "true", name="idle")


def offered(call: dict[str, Any], *words: str) -> list[str]:
    """What may stand in place of the last of `words`."""
    line = {"_LAB_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["lab", *words]), "COMP_CWORD": str(len(words))}
    command = [sys.executable, "-c", "import sys; sys.argv = ['lab']; from labcontainer.cli import main; main()"]
    told = subprocess.run(command, **{**call, "env": {**call["env"], **line}}, capture_output=True, check=False)
    assert "Traceback" not in told.stderr
    return [line.partition(",")[2] for line in told.stdout.splitlines() if line]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("res", "restart"),
        ("container pru", "prune"),
        ("system ", "df events fsck info prune"),
        ("stop ", "web"),
        ("container stop ", "web"),
        ("start ", "idle job"),
        ("rm ", "idle job web"),
        ("logs j", "job"),
        ("exec ", "web"),
        ("unpause ", ""),
        ("cp w", "web:"),
        ("run lab/", "lab/base lab/python"),
        ("image inspect lab/b", "lab/base"),
        ("inspect ", "idle job web lab/base lab/python"),
        ("ps --no", "--no-trunc"),
    ],
    ids=lambda text: text.strip() or "nothing",
)
def test_names_that_fit_are_offered(lab_call: dict[str, Any], words: str, expected: str) -> None:
    assert offered(lab_call, *words.split(" ")) == expected.split()


@pytest.mark.usefixtures("three")
def test_bash_takes_the_script_and_completes(lab_call: dict[str, Any]) -> None:
    script = """
        . <(lab completion bash)
        COMP_WORDS=(lab stop w) COMP_CWORD=2
        _lab_completion lab
        echo "${COMPREPLY[@]}"
    """
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    call = {**lab_call, "env": {**lab_call["env"], "PATH": path}}
    done = subprocess.run(["bash", "-euc", script], **call, capture_output=True, check=False)
    assert (done.stdout, done.stderr) == ("web\n", "")


@pytest.mark.parametrize(
    ("shell", "mark"), [("bash", "complete -o nosort"), ("zsh", "#compdef lab"), ("fish", "--command lab")]
)
def test_each_shell_has_a_script(lab: Lab, shell: str, mark: str) -> None:
    done = lab("completion", shell)
    assert (done.returncode, mark in done.stdout) == (0, True)
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=done.stdout, text=True, check=True)
    assert lab("completion", "tcsh").returncode == 125
