"""The widgets as a student meets them, in both themes: the screenshots are for people to look at."""

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import THEMES, LabPage

ISOLATION = "from labcontainer.widgets import IsolationMatrix\nIsolationMatrix(pid=True, mnt=True, uts=True)"
OVERLAY = """
from labcontainer.widgets import OverlayBench
bench = OverlayBench()
bench.write("merged/app/notes.txt", "mine")
bench.append("merged/etc/hosts", "10.0.0.2 db")
bench.delete("merged/usr")
bench.mkdir("merged/usr")
bench.rename("merged/app/main.py", "merged/app/run.py")
bench
"""
TRACE = """
import labcontainer.errors
from labcontainer.kernel import file, trace
from labcontainer.runtime import witness
from labcontainer.widgets import TraceView
with trace.recording() as here:
    try:
        file.write("/proc/self/uid_map", "0 0 1")
    except labcontainer.errors.KernelError:
        pass
    calls = witness.ask(["pid", "mnt", "uts", "user", "net"]).calls
view = TraceView([*here, *calls])
view.open(len(view.calls) - 2)
view
"""
REPORT = {
    "host": {"kernel": "6.18.44", "distribution": "Debian GNU/Linux 12", "user": "root", "cgroups": "hybrid"},
    "mode": "root",
    "findings": [
        {"id": "userns", "title": "User namespaces", "status": "yes", "why": "A child made one, and was root in it.",
         "remedy": "", "lessons": ["02", "10"]},
        {"id": "overlay", "title": "Overlay file system", "status": "yes", "why": "A union was mounted and written to.",
         "remedy": "", "lessons": ["04"]},
        {"id": "swap", "title": "Limit of swap", "status": "degraded", "why": "The controller does not count swap.",
         "remedy": "add swapaccount=1 to the kernel command line", "lessons": ["08"]},
        {"id": "rlimit", "title": "Raising hard resource limits", "status": "no",
         "why": "setrlimit answered EPERM: this root has no CAP_SYS_RESOURCE.",
         "remedy": "docker run --cap-add SYS_RESOURCE …", "lessons": ["09"]},
    ],
}  # fmt: skip
DOCTOR = f"from labcontainer.widgets import DoctorCard\nDoctorCard({REPORT!r})"
# Texts of a card, as [text, contrast], whose colour is too near to that of what they stand on.
FAINT = """card => {
    const parts = colour => {
        const found = colour.match(/[-.\\d]+/g).map(Number);
        return colour.startsWith('color(') ? found.map((part, at) => at < 3 ? part * 255 : part) : found;
    };
    const over = (front, back, alpha) => back.map((part, at) => part * (1 - alpha) + front[at] * alpha);
    const above = element => element.parentElement ? [element, ...above(element.parentElement)] : [element];
    const ground = element => above(element).reverse().reduce((back, each) => {
        const [red, green, blue, alpha = 1] = parts(getComputedStyle(each).backgroundColor);
        return over([red, green, blue], back, alpha);
    }, [255, 255, 255]);
    const linear = part => part <= 10.3 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4;
    const light = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
    const contrast = element => {
        const back = ground(element), [red, green, blue, alpha = 1] = parts(getComputedStyle(element).color);
        const veil = above(element).reduce((part, each) => part * getComputedStyle(each).opacity, alpha);
        const [dark, bright] = [light(over([red, green, blue], back, veil)), light(back)].sort((a, b) => a - b);
        return (bright + 0.05) / (dark + 0.05);
    };
    const says = element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    return [...card.querySelectorAll('*')].filter(each => says(each) && !each.closest(':disabled, .lab-off, .lab-said'))
        .map(each => [each.textContent.slice(0, 30), contrast(each)]).filter(([, found]) => found < 4.5);
}"""
LIFECYCLE = """
from labcontainer.errors import LabError
from labcontainer.lessons import Lab
from labcontainer.widgets import LifecycleView
lab = Lab("07")
life = LifecycleView(lab.engine.containers.create("lab/base", ["sleep", "600"], name="pet"))
life.start()
try:
    life.pause()
    life.unpause()
except LabError:
    pass
life.exec("true")
life.stop(0.2)
life.start()
life
"""
TERMINAL = """
from labcontainer.lessons import Lab
from labcontainer.widgets import Terminal
other = Lab("07")  # the first one would be cleared away, and the container above with it
box = other.engine.containers.run("lab/base", ["sleep", "600"], detach=True, hostname="box")
shell = Terminal(box, "sh")
shell.feed("hostname; ls -l /etc | head -5; ps\\n")
shell.feed("printf '\\\\033[32mgreen \\\\033[31mred \\\\033[34mblue \\\\033[33myellow\\\\033[0m %s\\\\n' done\\n")
shell.wait_for("yellow")
shell
"""
WIDGETS = {
    "doctor": DOCTOR,
    "isolation": ISOLATION,
    "lifecycle": LIFECYCLE,
    "overlay": OVERLAY,
    "terminal": TERMINAL,
    "trace": TRACE,
}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("theme", THEMES)
def test_every_widget_is_drawn_in_this_theme(lab_page: LabPage, theme: str) -> None:
    lab_page.open_cells(*WIDGETS.values())
    lab_page.page.set_viewport_size({"width": 1280, "height": 1500})
    lab_page.theme(theme)
    lab_page.run_all()
    for index, name in enumerate(WIDGETS):
        card = lab_page.output_of(index).locator(f".lab-{name}")
        expect(card).to_be_visible()
        lab_page.screenshot(f"widget-{name}-{theme}", of=card)
        _assert_legible(card)
        assert card.evaluate(FAINT) == [], "text whose contrast is below 4.5 (WCAG 2.2, 1.4.3)"
    lab_page.page.set_viewport_size({"width": 640, "height": 1500})
    for index, name in enumerate(WIDGETS):
        card = lab_page.output_of(index).locator(f".lab-{name}")
        lab_page.screenshot(f"widget-{name}-{theme}-narrow", of=card)
        _assert_legible(card)


def _assert_legible(card: Locator) -> None:
    """Nothing is cut off at the card's right edge: what is wide scrolls inside its own box."""
    right = "e => [e.className, e.textContent.slice(0, 30), e.getBoundingClientRect().right]"
    beyond = f"""card => [...card.querySelectorAll('*')].filter(e => !e.closest('[data-scroll]')).map({right})
        .filter(([, , right]) => right > card.getBoundingClientRect().right)"""
    assert not card.evaluate(beyond)
