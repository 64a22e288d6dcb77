"""The two commands of the README, on machines that have everything and on machines that do not."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path: Path, needs_make: Path) -> Path:
    """A directory with what make looks at, and a PATH (``bin``) that has a shell and make, but no Python."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    (tmp_path / "bin").mkdir()
    for program in ("sh", "id", "touch"):
        (tmp_path / "bin" / program).symlink_to(shutil.which(program) or program)
    (tmp_path / "bin" / "make").symlink_to(needs_make)
    return tmp_path


@pytest.fixture
def needs_make() -> Path:
    from tests.needs import require_program

    return require_program("make")


def make(directory: Path, target: str) -> subprocess.CompletedProcess[str]:
    path = str(directory / "bin")
    return subprocess.run(
        ["make", target], cwd=directory, env={"PATH": path}, capture_output=True, text=True, check=False, timeout=60
    )


def test_without_a_python_make_says_which_package_has_one(clone: Path) -> None:
    result = make(clone, "install")
    assert result.returncode != 0
    assert "found no Python ≥ 3.11 on PATH; try: sudo apt-get install python3 python3-venv" in result.stderr


def test_a_python_without_venv_is_named_with_the_package_that_it_lacks(clone: Path) -> None:
    python = clone / "bin" / "python3"
    python.write_text(f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    result = make(clone, "install")
    assert result.returncode != 0
    assert f"{python} has no venv; try: sudo apt-get install python3-venv" in result.stderr


def test_a_second_install_starts_nothing(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    for made in ("bin/pip", "installed"):
        (clone / ".venv" / made).touch()
    result = make(clone, "install")
    assert result.returncode == 0, result.stderr
    assert "installing" not in result.stdout


def test_make_lab_serves_the_lessons_on_loopback_to_whoever_has_the_token(
    tmp_path: Path, needs_make: Path, free_port: int
) -> None:
    if not (REPOSITORY / ".venv" / "installed").exists():
        pytest.skip("this checkout was not installed with make")
    private = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    lab = subprocess.Popen(
        [needs_make, "lab", f"ARGS=--no-browser --ServerApp.port={free_port}"],
        cwd=REPOSITORY, env={**os.environ, **private, "IPYTHONDIR": str(tmp_path)}, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    with lab:
        try:
            seen = []
            for line in lab.stdout or ():
                seen.append(line)
                if address := re.search(r"(http://127\.0\.0\.1:\d+)/lab\?token=([0-9a-f]{32,})", line):
                    break
            else:
                pytest.fail("no address was printed:\n" + "".join(seen))
            assert b".ipynb" in answer_of(f"{address[1]}/api/contents/notebooks?token={address[2]}")
            with pytest.raises(urllib.error.HTTPError, match="403"):
                answer_of(f"{address[1]}/api/contents")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(lab.pid, signal.SIGTERM)
            lab.communicate()


def answer_of(url: str) -> bytes:
    """What the server says; it prints its address a moment before it listens there."""
    deadline = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(url) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            error.close()
            raise
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
