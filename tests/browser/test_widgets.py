"""Each widget in a real JupyterLab, used by mouse and by keyboard."""

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import LabPage
from tests.browser.test_widget_looks import DOCTOR, TRACE

ISOLATION = "from labcontainer.widgets import IsolationMatrix; matrix = IsolationMatrix(); matrix"
LIFECYCLE = """
from labcontainer.lessons import Lab
from labcontainer.widgets import LifecycleView
lab = Lab("07")
life = LifecycleView(lab.engine.containers.create("lab/base", ["sleep", "600"], name="pet"))
life
"""
TERMINAL = """
from labcontainer.lessons import Lab
from labcontainer.widgets import Terminal
lab = Lab("07")
box = lab.engine.containers.run("lab/base", ["sleep", "600"], detach=True, name="box", hostname="box")
shell = Terminal(box, "sh")
shell
"""
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


@pytest.mark.timeout(300)
def test_the_life_of_a_container_is_steered_by_mouse_and_keyboard_and_seen_from_elsewhere(lab_page: LabPage) -> None:
    life = _open(lab_page, "lifecycle", LIFECYCLE, "len(life.happenings)")
    here, verbs = life.locator(".lab-here"), life.get_by_role("group", name="Verbs")
    expect(here).to_contain_text("created")
    pause = verbs.get_by_role("button", name=re.compile("^(⊘ )?pause"))
    expect(pause).to_have_attribute("aria-disabled", "true")
    expect(verbs).to_contain_text("cannot pause container pet: it is created; that is for a container that is running")
    verbs.get_by_role("button", name="start", exact=True).click()
    expect(here).to_contain_text("running")
    expect(life.locator(".lab-facts")).to_contain_text("S (sleeping)")

    # A verb that is refused can be reached, and does nothing.
    verbs.get_by_role("button", name="start", exact=True).press("ArrowRight")
    expect(verbs.get_by_role("button", name="exec")).to_be_focused()
    verbs.get_by_role("button", name="exec").press("Enter")
    expect(life.locator(".lab-times")).to_contain_text("exec 0")
    verbs.get_by_label("signal").select_option("SIGKILL")
    verbs.get_by_role("button", name="kill").press("Enter")
    expect(here).to_contain_text("stopped")
    expect(life.locator(".lab-headline")).to_contain_text("137 = 128 + 9: ended by SIGKILL")
    expect(life.locator(".lab-times")).to_contain_text("SIGKILL")

    # Process 1 ignores SIGTERM here: the grace period is waited for, and the other verbs go on meanwhile.
    verbs.get_by_role("button", name="start", exact=True).click()
    expect(here).to_contain_text("running")
    verbs.get_by_label("grace").fill("600")
    verbs.get_by_role("button", name="stop").click()
    expect(verbs).to_contain_text("being carried out")
    verbs.get_by_role("button", name="kill").click()
    expect(here).to_contain_text("stopped")
    verbs.get_by_label("grace").fill("soon")
    verbs.get_by_role("button", name="stop").click()
    expect(life.get_by_role("alert")).to_contain_text("it must be a number of seconds")

    # What happens elsewhere is seen: here by a process that knows nothing of the widget.
    lab_page.run_in_new_cell("%load_ext labcontainer\n%lab start pet")
    lab_page.output_of(0)
    expect(here).to_contain_text("running")
    lab_page.run_in_new_cell("%lab rm -f pet")
    lab_page.output_of(0)
    expect(here).to_contain_text("removed")
    expect(verbs.locator(".lab-refused")).to_have_count(8)
    expect(verbs).to_contain_text("it was removed")


@pytest.mark.timeout(300)
def test_a_terminal_is_typed_at_pasted_into_copied_from_and_detached(lab_page: LabPage) -> None:
    lab_page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    card = _open(lab_page, "terminal", TERMINAL)
    rows, keyboard = card.locator(".xterm-rows"), lab_page.page.keyboard
    card.locator(".xterm-screen").click()
    # Keys that are JupyterLab's own elsewhere: the cell is neither run nor deleted.
    keyboard.type("echo dd $((6 * 7)); hostname")
    keyboard.press("Shift+Enter")
    expect(rows).to_contain_text("dd 42")
    expect(rows).to_contain_text("box")
    # The program has the size that is seen.
    keyboard.type("stty size\n")
    expect(rows).to_contain_text(re.compile(r"24 1\d\d"))
    keyboard.type("sleep 600\n")
    keyboard.press("Control+c")
    keyboard.type("echo code $?\n")
    expect(rows).to_contain_text("code 130")

    lab_page.page.evaluate("() => navigator.clipboard.writeText('echo pa' + 'sted\\n')")
    keyboard.press("Control+Shift+v")
    expect(rows).to_contain_text("echo pasted")
    keyboard.press("Shift+Escape")
    expect(card.get_by_role("button", name="Detach")).to_be_focused()
    card.get_by_role("button", name="Copy").click()
    assert "dd 42" in lab_page.page.evaluate("() => navigator.clipboard.readText()")

    # Output that never ends is shown as fast as it can be drawn, and can be stopped.
    card.locator(".xterm-screen").click()
    keyboard.type("while :; do echo yes-yes; done\n")
    expect(rows).to_contain_text("yes-yes")
    keyboard.press("Control+c")
    keyboard.type("echo it was $((40 + 2))\n")
    expect(rows).to_contain_text("it was 42")

    lab_page.run_in_new_cell("shell.feed('echo from-py' + 'thon\\n'); shell.wait_for('from-python')[-11:], box.status")
    lab_page.output_of(0)
    expect(rows).to_contain_text("from-python")
    card.get_by_role("button", name="Detach").click()
    expect(card.locator(".lab-chip")).to_contain_text("detached")
    card.get_by_role("button", name="Run it again").press("Enter")
    expect(card.locator(".lab-chip")).to_contain_text("attached")
    lab_page.restart()
    lab_page.run_in_new_cell("1 + 1")
