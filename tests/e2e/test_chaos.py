"""A short run of the benchmarks that look for what is lost, leaked or wedged: `chaos` and `many`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.usefixtures("needs_userns")
def test_nothing_is_lost_leaked_or_wedged_when_processes_are_killed() -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "chaos.py", "10", "--seed", "3"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 of 33 rounds found something" in done.stdout


@pytest.mark.usefixtures("needs_userns")
def test_many_containers_from_many_threads_leave_nothing_behind() -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "many.py", "--running", "0,3", "--starts", "2", "--churn", "60"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed 0, left behind 0" in done.stdout
