"""Every lesson runs from top to bottom, puts out what was committed, and leaves the machine as it was.

nbval compares cell by cell, in a pytest of its own: the notebook's kernel and whatever it starts are then below this
test, and the leak check sees what the lesson leaves behind.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.notebooks import execute

REPOSITORY = Path(__file__).parents[2]
SANITIZE = Path(__file__).with_name("sanitize.cfg")
LESSONS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_a_lesson_puts_out_what_was_committed(lesson: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("n")
    nbval = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "--nbval-sanitize-with", SANITIZE, lesson],
        env={**os.environ, **execute.private(home)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    execute.until_cleared(home)
    assert nbval.returncode == 0, nbval.stdout + nbval.stderr


def test_every_pattern_of_the_sanitize_file_has_its_reason() -> None:
    blocks = re.split(r"\n\s*\n", SANITIZE.read_text().strip())
    for block in blocks[1:]:
        assert re.match(r"(# .+\n)+\[\w+\]\nregex: .+\nreplace: .+\Z", block), f"no reason above:\n{block}"
