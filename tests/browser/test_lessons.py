"""Every lesson, run from top to bottom in a real JupyterLab, and its first prediction answered by mouse."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NOTEBOOKS, THEMES, LabPage

LESSONS = sorted(NOTEBOOKS.glob("*.ipynb"))
ERRORS = """() => window.jupyterapp.shell.currentWidget.content.widgets
    .filter(cell => cell.model.outputs?.toJSON().some(output => output.output_type === 'error'))
    .map(cell => cell.model.id)"""
PREDICTION = """() => window.jupyterapp.shell.currentWidget.content.widgets
    .findIndex(cell => cell.model.sharedModel.getSource().startsWith('lab.predict('))"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_a_lesson_runs_and_a_prediction_opens_its_explanation(lab_page: LabPage, lesson: Path, theme: str) -> None:
    lab_page.open(lesson.name)
    lab_page.theme(theme)
    lab_page.run_all()
    assert lab_page.page.evaluate(ERRORS) == []
    index = lab_page.page.evaluate(PREDICTION)
    if index < 0:
        return
    question = lab_page.output_of(index)
    expect(question).to_contain_text("Choose, and the explanation opens.")
    question.get_by_role("radio").first.check()
    expect(question).not_to_contain_text("Choose, and the explanation opens.")
    expect(question.get_by_role("radio").first).to_be_disabled()
    lab_page.screenshot(f"{lesson.stem[:2]}-prediction-{theme}")
