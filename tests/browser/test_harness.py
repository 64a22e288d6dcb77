"""The harness itself: a page that works, one with an error, one that calls out."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import THEMES, LabPage


@pytest.mark.parametrize("theme", THEMES)
def test_cells_run_in_jupyterlab(lab_page: LabPage, theme: str) -> None:
    lab_page.open_cells("print(6 * 7)", "import time; time.sleep(0.3); print('second', 1 + 1)")
    lab_page.theme(theme)
    lab_page.run_all()
    expect(lab_page.output_of(0)).to_have_text("42")
    expect(lab_page.output_of(1)).to_contain_text("second 2")
    lab_page.screenshot(f"harness-{theme}")


def test_a_widget_is_drawn(lab_page: LabPage) -> None:
    lab_page.open_cells(
        "import ipywidgets; slider = ipywidgets.IntSlider(value=7, description='pids'); slider",
        "slider.value",
    )
    lab_page.run_all()
    expect(lab_page.output_of(0).get_by_text("pids")).to_be_visible()
    expect(lab_page.output_of(1)).to_contain_text("7")


def test_a_request_beyond_this_machine_is_noticed(lab_page: LabPage) -> None:
    lab_page.open_cells("from IPython.display import HTML; HTML('<img src=\"http://192.0.2.1/x.png\">')")
    lab_page.run_all()
    lab_page.output_of(0).locator("img").wait_for(state="attached")
    seen, lab_page.errors = lab_page.errors, []
    assert "request beyond this machine: http://192.0.2.1/x.png" in seen


def test_an_error_in_the_page_is_noticed(lab_page: LabPage) -> None:
    lab_page.open_cells(
        "from IPython.display import Javascript; Javascript('setTimeout(() => { throw new Error(\"broken\") })')"
    )
    lab_page.run_all()
    lab_page.page.wait_for_timeout(200)
    seen, lab_page.errors = lab_page.errors, []
    assert any("broken" in line for line in seen), seen
