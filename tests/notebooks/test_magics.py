"""``%lab``, ``%%container`` and ``%%child``, in a real notebook kernel."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from tests.notebooks import execute

OPEN = "%load_ext labcontainer\nfrom labcontainer.lessons import Lab\nlab = Lab('00')"


def _outputs(home: Path, *cells: str) -> list[str]:
    """What each of `cells` puts out, after the one that opens a lab."""
    notebook = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in (OPEN, *cells)]  # type: ignore[no-untyped-call]
    execute.run(notebook, home)
    return [
        "".join(output.get("text", "") or output["data"]["text/plain"] for output in cell["outputs"])
        for cell in notebook.cells[1:]
    ]


def test_a_cell_runs_in_a_container_and_its_exit_code_is_kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    shell, code, python, listed, refused = _outputs(
        tmp_path_factory.mktemp("m"),
        "%%container lab/base -h inside\nhostname\necho $$ >&2\nexit 3",
        "_exit_code",
        "%%container lab/python --python\nimport os\nprint(os.getpid() + 1)",
        "%lab ps -aq",
        "%lab logs nobody\nprint(_exit_code)",
    )
    assert sorted(shell.split()) == ["1", "inside"]
    assert code == "3"
    assert python == "2\n"
    assert not listed.strip()  # a cell's container is removed when it has ended
    assert "no such container: nobody" in refused
    assert refused.endswith("1\n")


def test_a_child_that_fails_fails_its_cell(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(CellExecutionError, match="the child ended with exit code 4"):
        _outputs(tmp_path_factory.mktemp("m"), "%%child\nraise SystemExit(4)")


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("%%child --bogus\npass", "unrecognized arguments: --bogus"),
        ("%%child --give nothing\npass", "there is no variable called nothing"),
        ("%%container -m 64m lab/base\ntrue", "the image comes first"),
    ],
)
def test_a_magic_that_is_misspelt_says_what_is_wrong(
    cell: str, reason: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.raises(CellExecutionError, match=reason):
        _outputs(tmp_path_factory.mktemp("m"), cell)
