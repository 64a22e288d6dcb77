"""Each widget in a real JupyterLab, used by mouse and by keyboard."""

import re

from playwright.sync_api import Locator, expect

from tests.browser.conftest import LabPage
from tests.browser.test_widget_looks import DOCTOR, TRACE

ISOLATION = "from labcontainer.widgets import IsolationMatrix; matrix = IsolationMatrix(); matrix"
OVERLAY = "from labcontainer.widgets import OverlayBench; bench = OverlayBench(); bench"


def _open(lab_page: LabPage, name: str, *cells: str) -> Locator:
    lab_page.open_cells(*cells)
    lab_page.run_all()
    card = lab_page.output_of(0).locator(f".lab-{name}")
    expect(card).to_be_visible()
    return card


def test_the_isolation_matrix_is_used_by_mouse_keyboard_and_python(lab_page: LabPage) -> None:
    matrix = _open(lab_page, "isolation", ISOLATION, "matrix.set(cgroup=True, user=True); len(matrix.run().made) == 2")
    # Python's switch, from the second cell, which ran before anybody looked.
    expect(matrix.get_by_label("Cgroup namespace")).to_be_checked()
    expect(lab_page.output_of(1)).to_contain_text("True")
    lab_page.output_of(0)
    expect(matrix.locator(".lab-verdict", has_text="shared")).to_have_count(6)

    matrix.get_by_label("PID namespace").check()
    expect(matrix.locator(".lab-switch", has_text="PID").locator(".lab-verdict")).to_contain_text("own")
    expect(matrix.locator(".lab-headline")).to_contain_text("The child is process 1 inside")
    matrix.get_by_label("Mount namespace").check()
    alone = matrix.locator("tr.lab-differs", has_text="Processes")
    expect(alone).to_contain_text("1 process")
    matrix.get_by_label("mount its own /proc").uncheck()
    expect(alone).to_have_count(0)

    matrix.get_by_role("button", name="None").press("Enter")
    expect(matrix.locator(".lab-verdict", has_text="shared")).to_have_count(8)
    expect(matrix.get_by_label("mount its own /proc")).to_be_disabled()
    uts = matrix.get_by_label("UTS namespace")
    uts.press("Space")
    expect(matrix.locator("tr.lab-differs", has_text="Host name")).to_contain_text("isolated")
    expect(uts).to_be_focused()
    lab_page.page.keyboard.press("Tab")
    lab_page.page.keyboard.press("Space")
    expect(matrix.locator("tr.lab-differs", has_text="Interfaces")).to_contain_text("lo down")


def test_the_overlay_bench_is_used_by_mouse_and_keyboard(lab_page: LabPage) -> None:
    bench = _open(lab_page, "overlay", OVERLAY)
    bench.locator("[data-key='merged/etc/hosts']").click()
    bench.get_by_role("group", name="Command").get_by_role("button", name="Append").click()
    expect(bench.locator(".lab-twin")).to_contain_text('bench.append("merged/etc/hosts", " and more")')
    bench.get_by_label("Text to add").fill("10.0.0.2 db")
    expect(bench.locator(".lab-twin")).to_contain_text('"10.0.0.2 db"')
    bench.locator("[data-key='do']").click()
    expect(bench.locator(".lab-copied")).to_contain_text("copied up")
    expect(bench.locator(".lab-story")).to_contain_text("upper/etc/hosts was copied up")

    bench.locator("[data-key='merged/etc/motd']").press("Delete")
    expect(bench.locator(".lab-whiteout")).to_contain_text("whiteout 0:0")
    expect(bench.locator(".lab-gone")).to_contain_text("gone")
    bench.locator("[data-key='merged/app/main.py']").press("F2")
    new = bench.get_by_label("New path")
    expect(new).to_have_value("merged/app/main.py.old")
    new.fill("merged/app/run.py")
    new.press("Enter")
    expect(bench.locator(".lab-story")).to_contain_text("under its new name")
    expect(bench.locator("[data-key='merged/app/run.py']")).to_be_visible()

    # What the Linux kernel refuses is a sentence with a way out, and no traceback.
    bench.locator("[data-key='merged/usr']").press("F2")
    new.press("Enter")
    problem = bench.get_by_role("alert")
    expect(problem).to_contain_text("EXDEV")
    expect(problem).to_contain_text("mv copies it")
    bench.get_by_role("button", name="Start over").click()
    expect(problem).to_have_count(0)
    expect(bench.locator(".lab-whiteout")).to_have_count(0)


def test_the_trace_view_is_used_by_mouse_and_keyboard(lab_page: LabPage) -> None:
    trace = _open(lab_page, "trace", TRACE)
    trace.locator(".lab-item", has_text="sethostname").click()
    expect(trace.locator(".lab-call")).to_have_text("sethostname()")
    expect(trace.locator(".lab-args")).to_contain_text('"isolated"')
    expect(trace.locator(".lab-here")).to_contain_text("namespaces.sethostname(HOSTNAME)")
    expect(trace.locator(".lab-bar[aria-pressed='true']")).to_contain_text("sethostname")

    trace.get_by_role("button", name="By order").click()
    expect(trace.get_by_role("button", name="By order")).to_have_attribute("aria-pressed", "true")
    first, second = trace.locator("[data-key='bar 0']"), trace.locator("[data-key='bar 1']")
    first.click()
    expect(trace.locator(".lab-error")).to_contain_text("EPERM")
    expect(trace.locator(".lab-where")).to_contain_text("this notebook")
    expect(trace.locator(".lab-here")).to_contain_text("file.write")
    first.press("ArrowRight")
    expect(second).to_be_focused()
    expect(second).to_have_attribute("aria-pressed", "true")
    second.press("End")
    expect(trace.locator(".lab-args")).to_contain_text('"proc"')
    trace.get_by_role("button", name="Zoom in").click()
    expect(trace.locator(".lab-track")).to_have_attribute("style", re.compile("200%"))


def test_the_doctor_card_filters_and_opens_and_is_a_table_without_a_kernel(lab_page: LabPage) -> None:
    page = "from IPython.display import HTML\nHTML(_._repr_mimebundle_()['text/html'])"
    card = _open(lab_page, "doctor", DOCTOR, page)
    expect(card.locator(".lab-finding")).to_have_count(4)
    card.get_by_role("button", name="Problems").press("Enter")
    expect(card.locator(".lab-finding")).to_have_count(2)
    card.locator("summary", has_text="Raising hard").press("Enter")
    expect(card.locator(".lab-remedy code:visible")).to_have_text("docker run --cap-add SYS_RESOURCE …")
    expect(lab_page.output_of(1).locator("table")).to_contain_text("Raising hard resource limits")
