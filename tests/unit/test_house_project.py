"""The house rules of the project: the packages it names, its licence, its notebooks' form."""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

REPOSITORY = Path(__file__).parents[2]
SOURCES = sorted((REPOSITORY / "labcontainer").rglob("*.py"))
STARTED_BY_MAKE = {"jupyterlab", "ipykernel"}
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))


def test_conda_and_pip_install_the_same_packages() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    environment = (REPOSITORY / "environment.yml").read_text()
    conda = {_split(entry) for entry in re.findall(r"^ +- ([\w-]+ *>=[\d.]+)$", environment, re.MULTILINE)}
    pip = {_split(entry) for entry in (*project["dependencies"], *project["optional-dependencies"]["test"])}
    assert conda == pip | {("python", project["requires-python"])}


def test_the_packages_that_are_imported_are_the_ones_that_are_installed() -> None:
    imported = {name.partition(".")[0].lower() for path in SOURCES for name in _imports(path)}
    known = {*map(str.lower, sys.stdlib_module_names), "labcontainer", "_typeshed"}  # the last is mypy's own
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert imported - known == {_split(entry)[0] for entry in project["dependencies"]} - STARTED_BY_MAKE


def test_the_licence_is_apache_2() -> None:
    text = (REPOSITORY / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_is_valid_and_its_cells_have_ids_of_their_own(self, path: Path) -> None:
        notebook = _notebook(path)
        nbformat.validate(notebook)
        ids = [cell["id"] for cell in notebook["cells"]]
        assert len(set(ids)) == len(ids)

    def test_is_committed_executed_from_top_to_bottom(self, path: Path) -> None:
        counts = [cell["execution_count"] for cell in _code(path)]
        assert counts == list(range(1, len(counts) + 1))

    def test_carries_no_widget_state_and_no_metadata_of_an_editor(self, path: Path) -> None:
        notebook = _notebook(path)
        assert set(notebook["metadata"]) <= {"kernelspec", "language_info"}
        assert set(notebook["metadata"]["language_info"]) <= {"name"}
        for cell in notebook["cells"]:
            assert set(cell["metadata"]) <= {"tags"}, cell["id"]

    def test_has_at_most_thirty_cells_of_at_most_twelve_lines(self, path: Path) -> None:
        assert len(_notebook(path)["cells"]) <= 30
        long = [cell["id"] for cell in _code(path) if len("".join(cell["source"]).splitlines()) > 12]
        assert not long

    def test_has_prose_for_each_cell_of_code(self, path: Path) -> None:
        cells = _notebook(path)["cells"]
        assert sum(cell["cell_type"] == "markdown" for cell in cells) >= len(_code(path))

    def test_shows_no_path_of_the_machine_on_which_it_was_made(self, path: Path) -> None:
        assert str(REPOSITORY) not in path.read_text()


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (str(name.value) for name in node.args if isinstance(name, ast.Constant))


def _split(requirement: str) -> tuple[str, str]:
    match = re.fullmatch(r"([A-Za-z0-9_.-]+)\s*(.*)", requirement)
    assert match, requirement
    return match[1].lower(), match[2].replace(" ", "")


def _notebook(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text())
    return notebook


def _code(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in _notebook(path)["cells"] if cell["cell_type"] == "code"]
