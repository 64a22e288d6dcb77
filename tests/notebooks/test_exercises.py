"""The teeth of the exercises: untouched, every check fails; with the solutions, every check passes.

``solutions/NN.py`` holds a line ``# cell: ID`` and below it what replaces the cell ID of the lesson NN. In it,
``@EXERCISE.PARAMETER@`` stands for the student's parameter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from labcontainer.lessons import bench
from labcontainer.lessons.student import Student
from tests.notebooks import execute

REPOSITORY = Path(__file__).parents[2]
SOLUTIONS = Path(__file__).with_name("solutions")
LESSONS = sorted(
    path for path in (REPOSITORY / "notebooks").glob("*.ipynb") if bench.content(path.name[:2]).get("EXERCISES")
)
# What the lab has judged, as the last output of the notebook.
ASK = "import json\nprint('VERDICTS', json.dumps({name: bool(verdict) for name, verdict in lab.verdicts.items()}))"

pytestmark = [pytest.mark.timeout(300), pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)]


def test_every_check_fails_as_long_as_nothing_is_done(lesson: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    verdicts = _verdicts(_read(lesson), tmp_path_factory.mktemp("n"), execute.STUDENT)
    assert verdicts == dict.fromkeys(_exercises(lesson), False)


def test_every_check_passes_with_the_solutions(lesson: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    # Another student than the one of the committed run: a solution must not depend on one student's parameters.
    student = "ada"
    notebook = _read(lesson)
    cells = {cell["id"]: cell for cell in notebook.cells}
    for id, source in _solutions(lesson).items():
        cells[id]["source"] = _filled(source, lesson, student)
    verdicts = _verdicts(notebook, tmp_path_factory.mktemp("n"), student)
    assert verdicts == dict.fromkeys(_exercises(lesson), True)


def _read(lesson: Path) -> NotebookNode:
    return nbformat.read(lesson, as_version=4)  # type: ignore[no-untyped-call, no-any-return]


def _exercises(lesson: Path) -> tuple[str, ...]:
    return tuple(bench.content(lesson.name[:2])["EXERCISES"])


def _solutions(lesson: Path) -> Mapping[str, str]:
    text = (SOLUTIONS / f"{lesson.name[:2]}.py").read_text()
    _, *parts = re.split(r"^# cell: (\S+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _filled(source: str, lesson: Path, student: str) -> str:
    number = lesson.name[:2]

    def value(match: re.Match[str]) -> str:
        exercise, parameter = match.groups()
        choices = bench.content(number)["EXERCISES"][exercise].parameters[parameter]
        return str(Student(student).pick(number, f"{exercise}.{parameter}", choices))

    return re.sub(r"@(\w+)\.(\w+)@", value, source)


def _verdicts(notebook: NotebookNode, home: Path, student: str) -> dict[str, bool]:
    notebook.cells.append(nbformat.v4.new_code_cell(ASK))  # type: ignore[no-untyped-call]
    done = execute.run(notebook, home, student=student)
    text = "".join(output.get("text", "") for output in done.cells[-1]["outputs"])
    verdicts: dict[str, bool] = json.loads(text.partition("VERDICTS ")[2])
    return verdicts
