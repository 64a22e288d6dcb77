"""``lab`` as a shell calls it, on an engine of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.e2e.bundle import Runtime, make_bundle
from tests.needs import Needs

if TYPE_CHECKING:
    from labcontainer.engine import Engine


class Lab(Protocol):
    """``lab(*words)`` runs it to its end."""

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]: ...


class LabProcess(Protocol):
    """``lab_process(*words)`` starts it; what still runs at the test's end is killed."""

    def __call__(self, *words: str) -> subprocess.Popen[str]: ...


@pytest.fixture
def lab_call(engine: Engine) -> dict[str, Any]:
    """How `lab` is started: subprocess's keywords."""
    places = {"LABCONTAINER_ROOT": str(engine.root), "LABCONTAINER_RUN": str(engine.run)}
    return {
        "env": {**os.environ, **places},
        "cwd": Path(__file__).parents[2],
        "stdin": subprocess.DEVNULL,
        "text": True,
    }


@pytest.fixture
def lab(engine: Engine, lab_call: dict[str, Any]) -> Iterator[Lab]:
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "labcontainer.cli", *words]
        return subprocess.run(command, capture_output=True, timeout=30, check=False, **lab_call)

    yield call
    for container in engine.containers.list(all=True):
        container.remove(force=True)


@pytest.fixture
def lab_process(lab: Lab, lab_call: dict[str, Any]) -> Iterator[LabProcess]:
    started: list[subprocess.Popen[str]] = []

    def call(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "labcontainer.cli", *words]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **lab_call))
        return started[-1]

    yield call
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(params=["runc", "lab-runtime"])
def runtime(request: pytest.FixtureRequest, needs: Needs, tmp_path: Path) -> Iterator[Runtime]:
    needs("busybox")
    command = [str(needs("runc"))] if request.param == "runc" else [str(Path(sys.executable).with_name("lab-runtime"))]
    found = Runtime(command, tmp_path / "state", tmp_path / "bundle")
    make_bundle(found)
    yield found
    for id in found("list", "-q").stdout.decode().split():
        found("delete", "-f", id)
