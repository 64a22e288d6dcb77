"""The cgroup dashboard in a real JupyterLab, beside containers under load: used by mouse, by keyboard and by Python."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from labcontainer.engine import default_directories
from tests.browser.conftest import THEMES, LabPage
from tests.browser.test_widget_looks import FAINT, _assert_legible

# A command goes by way of the notebook kernel to the Linux kernel and back, on a machine that the load keeps busy.
SOON_MS = 30_000

pytestmark = [pytest.mark.usefixtures("needs_cgroups"), pytest.mark.timeout(600)]

# 40 MiB held, files read that fill the rest of the limit, and more CPU time wanted than the quota gives.
LOAD = """
held = b"x" * (40 << 20)
open("/tmp/file", "wb").write(bytes(96 << 20))
while True:
    with open("/tmp/file", "rb", buffering=0) as file:
        while file.read(1 << 16):
            sum(range(4000))
"""
OPEN = f"""
from labcontainer.lessons import Lab
from labcontainer.widgets import CgroupDashboard
lab = Lab("08")
limits = dict(mem_limit="64m", nano_cpus=300_000_000, pids_limit=16)
busy = lab.engine.containers.run("lab/python", ["python3", "-c", {LOAD!r}], name="busy", detach=True, **limits)
quiet = lab.engine.containers.run("lab/base", ["sleep", "600"], name="quiet", detach=True)
dashboard = CgroupDashboard(busy, quiet)
dashboard
"""


@pytest.fixture(autouse=True)
def cleared() -> Iterator[None]:
    """Wait for the janitor, who ends the containers after the notebook kernel."""
    lessons = default_directories()[0] / "lessons"
    before = set(lessons.glob("08-*"))
    yield
    deadline = time.monotonic() + 60
    while set(lessons.glob("08-*")) - before and time.monotonic() < deadline:
        time.sleep(0.1)


def _open(lab_page: LabPage, *cells: str) -> Locator:
    lab_page.page.set_default_timeout(100_000)  # for a busy machine
    lab_page.open_cells(OPEN, *cells)
    lab_page.page.set_viewport_size({"width": 1280, "height": 1000})
    lab_page.run_all()
    card = lab_page.output_of(0).locator(".lab-dashboard")
    expect(card).to_be_visible()
    return card


@pytest.mark.parametrize("theme", THEMES)
def test_it_is_drawn_in_this_theme_while_a_container_works(lab_page: LabPage, theme: str) -> None:
    card = _open(lab_page)
    lab_page.theme(theme)
    # Both limits have been met, and there is something to see.
    expect(card.locator(".lab-log li")).to_have_count(2, timeout=60_000)
    lab_page.page.wait_for_timeout(8000)
    lab_page.screenshot(f"widget-dashboard-{theme}", of=card)
    # An ordinary user on a hybrid host has no file that tells of pressure, and no chart of it.
    pictures = card.locator(".lab-canvas:has(.uplot)").all()
    assert len(pictures) >= 4
    for picture in pictures:
        width = "e => [e.clientWidth, e.querySelector('.uplot').clientWidth]"
        shown, drawn = picture.evaluate(width)
        assert shown == drawn
    _assert_legible(card)
    assert card.evaluate(FAINT) == []
    lab_page.page.set_viewport_size({"width": 640, "height": 1700})
    expect(card.locator(".lab-chart-memory canvas")).to_have_css("width", re.compile(r"^4\d\d"))
    lab_page.screenshot(f"widget-dashboard-{theme}-narrow", of=card)
    _assert_legible(card)


def test_it_is_used_by_mouse_keyboard_and_python(lab_page: LabPage) -> None:
    card = _open(lab_page, "dashboard.set(pids_limit=48).limits.pids_max == 48")
    expect(lab_page.output_of(1)).to_contain_text("True", timeout=SOON_MS)
    lab_page.output_of(0)
    memory, pids = card.get_by_label("Memory: limit"), card.get_by_label("Processes: limit")
    expect(pids).to_have_attribute("aria-valuetext", "48", timeout=SOON_MS)
    expect(card.get_by_role("img", name="Memory, now")).to_have_attribute(
        "aria-label", re.compile("of 64 MiB"), timeout=SOON_MS
    )

    memory.press("ArrowRight")
    says = card.locator(".lab-limit", has_text="Memory").locator(".lab-says")
    expect(says).to_have_text(str(96 << 20), timeout=SOON_MS)
    expect(memory).to_be_focused()
    expect(card.locator(".lab-log")).to_contain_text("Memory: 64 MiB → 96 MiB", timeout=SOON_MS)
    memory.press("Home")
    expect(card.get_by_role("alert")).to_contain_text(
        "are in use and cannot be taken back: choose a higher limit", timeout=SOON_MS
    )
    expect(memory).to_have_attribute("aria-valuetext", "96 MiB", timeout=SOON_MS)
    box = pids.bounding_box()
    assert box is not None
    lab_page.page.mouse.click(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
    expect(pids).to_have_attribute("aria-valuetext", "no limit", timeout=SOON_MS)
    expect(card.get_by_role("alert")).to_have_count(0, timeout=SOON_MS)

    card.get_by_role("button", name="Pause").click()
    expect(card.get_by_role("button", name="Resume")).to_be_visible(timeout=SOON_MS)
    card.get_by_role("button", name="quiet").press("Enter")
    expect(card.get_by_role("button", name="quiet")).to_have_attribute("aria-pressed", "true", timeout=SOON_MS)
    card.get_by_role("button", name="Read once").click()
    expect(card.locator(".lab-chart-pids figcaption")).to_contain_text("1, no limit", timeout=SOON_MS)
    card.get_by_role("button", name="Resume").click()
    expect(card.get_by_role("button", name="Pause")).to_be_visible(timeout=SOON_MS)
