"""A skip is counted, and can fail: a pytest in a process of its own meets tests that want what is not there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
# The exit status and the output of a run with this value of LAB_REQUIRE.
Run = Callable[[str], tuple[int, str]]

WANTING = """
import pytest
from tests.needs import OTHER_RUN

def test_wants_a_program_that_nobody_has(needs):
    needs("no-such-program")

def test_wants_it_too(needs):
    needs("no-such-program")

def test_belongs_elsewhere():
    pytest.skip(OTHER_RUN + "on the moon")

@pytest.mark.xfail(reason="known")
def test_is_expected_to_fail():
    assert False
"""


@pytest.fixture
def pytest_of(tmp_path: Path) -> Run:
    (tmp_path / "test_wanting.py").write_text(WANTING)

    def run(require: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "pytest", "-p", "tests.needs", "-c", f"{REPOSITORY}/pyproject.toml"]
        environment = {**os.environ, "LAB_REQUIRE": require, "PYTHONPATH": str(REPOSITORY)}
        result = subprocess.run(
            [*command, str(tmp_path)], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return result.returncode, result.stdout

    return run


def test_skips_are_told_once_for_each_reason(pytest_of: Run) -> None:
    status, output = pytest_of("")
    assert status == 0, output
    assert "    2  no no-such-program on this machine (apt-get install no-such-program)\n" in output
    assert "    1  belongs to another run: on the moon\n" in output
    assert "3 skipped, 1 xfailed" in output


def test_under_lab_require_a_skip_fails_unless_it_belongs_to_another_run(pytest_of: Run) -> None:
    status, output = pytest_of("all")
    assert status == 1
    assert "LAB_REQUIRE=all, but this was skipped: no no-such-program on this machine" in output
    assert "2 failed, 1 skipped, 1 xfailed" in output
