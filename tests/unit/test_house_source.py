"""The house rules of the source: ranks, docstrings, the error tree, sizes."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainer import errors

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "labcontainer"
SOURCES = sorted(PACKAGE.rglob("*.py"))
# The recorder of calls is ours alone: no man page and no specification knows it.
WITHOUT_SEE = {PACKAGE / "kernel" / "trace.py"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def test_a_package_imports_only_packages_of_a_lower_rank(capsys: pytest.CaptureFixture[str]) -> None:
    from importlinter.cli import lint_imports

    broken = lint_imports(config_filename=str(REPOSITORY / "pyproject.toml"), no_cache=True)
    assert not broken, capsys.readouterr().out


def test_every_public_function_of_kernel_and_oci_names_its_man_page_or_specification() -> None:
    without = [
        f"{path.relative_to(REPOSITORY)}:{function.lineno} {function.name}"
        for path in SOURCES
        if path.relative_to(PACKAGE).parts[0] in ("kernel", "oci") and path not in WITHOUT_SEE
        for function in _public_functions(path)
        if "See:" not in (ast.get_docstring(function) or "")
    ]
    assert not without, "no See in the docstring of:\n" + "\n".join(without)


def test_the_error_tree_in_the_docstring_is_the_one_of_the_classes() -> None:
    drawn, parents = {}, ["LabError"]
    for line in inspect.getdoc(errors).splitlines():  # type: ignore[union-attr]
        if match := re.match(r"(?P<indent>[\s│]*)[├└]── (?P<name>\w+)", line):
            depth = 1 + (len(match["indent"]) - 4) // 4
            parents[depth:] = [match["name"]]
            drawn[match["name"]] = parents[depth - 1]
    declared = {
        name: next(base.__name__ for base in error.__bases__ if issubclass(base, errors.LabError))
        for name, error in inspect.getmembers(errors, inspect.isclass)
        if issubclass(error, errors.LabError) and error is not errors.LabError
    }
    assert drawn == declared


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_has_one_subject_and_a_function_one_job(path: Path) -> None:
    lines = path.read_text().count("\n")
    assert lines <= 400, f"{lines} lines: split it by subject"
    long = [
        f"{function.name} ({function.end_lineno - function.lineno + 1} lines)"
        for function in _functions(path)
        if function.end_lineno and function.end_lineno - function.lineno >= 40
    ]
    assert not long, f"split: {', '.join(long)}"


def _public_functions(path: Path) -> Iterator[Function]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield node


def _functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, Function))
