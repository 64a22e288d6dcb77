"""JupyterLab in Debian's chromium, driven by Playwright.

    def test_a_checkbox_makes_a_namespace(lab_page):
        lab_page.open("02-….ipynb")            # a copy in a fresh directory; the notebook kernel is ready
        lab_page.run_all()                     # and wait for the last cell
        widget = lab_page.output_of(4)         # scrolled into view: JupyterLab draws what is near the eye only
        widget.get_by_label("pid").check()
        lab_page.screenshot("isolation-matrix")

A test fails on any error in the page, and on any request that leaves this machine. Screenshots land in
``test-results/``, in both themes with ``@pytest.mark.parametrize("theme", THEMES)`` and `LabPage.theme`.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Locator, Page, expect, sync_playwright

from tests.needs import require_program

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS = REPOSITORY / "notebooks"
SCREENSHOTS = REPOSITORY / "test-results"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
STARTUP_S = 180
# The first cell waits for a notebook kernel to start, which on a busy machine takes seconds.
KERNEL_MS = 60_000
# What an expectation waits for at most: a container that starts on a busy machine may take seconds, too.
expect.set_options(timeout=20_000)


@dataclass(frozen=True, slots=True)
class Server:
    """A JupyterLab of this test run: its address, its token, and the directory that it shows."""

    url: str
    token: str
    directory: Path

    def api(self, path: str, method: str = "GET") -> Any:
        """Call Jupyter's own REST interface. See: jupyter_server's api.yaml"""
        request = urllib.request.Request(f"{self.url}/api/{path}", method=method)
        request.add_header("Authorization", f"token {self.token}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, free_port: int) -> Iterator[Server]:
    """JupyterLab on loopback, with settings and state of its own, over an empty directory."""
    home = tmp_path_factory.mktemp("jupyter")
    (home / "notebooks").mkdir()
    server = Server(f"http://127.0.0.1:{free_port}", secrets.token_hex(16), home / "notebooks")
    environment = {**os.environ, "JUPYTER_TOKEN": server.token}
    for name in ("CONFIG", "DATA", "RUNTIME"):
        environment[f"JUPYTER_{name}_DIR"] = str(home / name.lower())
    environment["JUPYTERLAB_SETTINGS_DIR"] = str(home / "settings")
    # JupyterLab's first question, whether it may fetch news, would cover a corner of every screenshot.
    answered = home / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    answered.parent.mkdir(parents=True)
    answered.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    environment["JUPYTERLAB_WORKSPACES_DIR"] = str(home / "workspaces")
    environment["IPYTHONDIR"] = str(home / "ipython")
    flags = [
        "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={free_port}",
        "--ServerApp.port_retries=0", "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.extension_manager=readonly",
    ]  # fmt: skip
    with (home / "jupyter.log").open("wb") as log:
        jupyter = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *flags, str(server.directory)],
            env=environment, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _wait_until_it_answers(server, jupyter, home / "jupyter.log")
            yield server
        finally:
            jupyter.terminate()
            jupyter.wait(timeout=30)


@pytest.fixture(scope="session")
def browser(foreign_processes: set[int]) -> Iterator[Browser]:
    """Debian's chromium, without a window."""
    chromium = require_program("chromium")
    before = _children()
    with sync_playwright() as playwright:
        # As root chromium refuses its sandbox; /dev/shm is small in a container.
        flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        # Playwright's driver and chromium are not ours: which helper processes they keep is their affair.
        started = _children() - before
        foreign_processes |= started
        yield browser
        browser.close()
    foreign_processes -= started


@dataclass(slots=True)
class LabPage:
    """One tab with JupyterLab in it, and what a student does there."""

    page: Page
    server: Server
    errors: list[str] = field(default_factory=list)

    def open(self, name: str, *, as_name: str | None = None) -> None:
        """Open a copy of the lesson `name` of ``notebooks/`` and wait until its notebook kernel is idle."""
        copy = self.server.directory / (as_name or name)
        shutil.copyfile(NOTEBOOKS / name, copy)
        self._show(copy.name)

    def open_cells(self, *cells: str) -> None:
        """Open a new notebook that has these code cells and nothing else."""
        empty: dict[str, object] = {"metadata": {}, "outputs": [], "execution_count": None}
        notebook = {
            "cells": [
                {"cell_type": "code", "id": f"{number}", "source": source, **empty}
                for number, source in enumerate(cells)
            ],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        (self.server.directory / "cells.ipynb").write_text(json.dumps(notebook))
        self._show("cells.ipynb")

    def run_all(self, timeout_s: float = 90) -> None:
        """Run every cell from the top and wait until the last has ended, whether it raised or not."""
        # A lesson is committed with the very numbers that this run will give its cells.
        self._command("notebook:clear-all-cell-outputs")
        self._wait_for(lambda: not any(self._executed()), "the outputs to be cleared", 10)
        before = self._executed()
        self._command("notebook:run-all-cells")
        self._wait_for(lambda: self._idle() and self._executed() != before, "the cells to end", timeout_s)

    def run_in_new_cell(self, source: str) -> None:
        """Add a cell at the end, run it, and wait for its end."""
        self.page.evaluate(
            """async source => {
                const [app, panel] = [window.jupyterapp, window.jupyterapp.shell.currentWidget];
                panel.content.activeCellIndex = panel.content.widgets.length - 1;
                await app.commands.execute('notebook:insert-cell-below');
                panel.content.activeCell.model.sharedModel.setSource(source);
                void app.commands.execute('notebook:run-cell');
            }""",
            source,
        )
        self._wait_for(lambda: self._executed()[-1] is not None and self._idle(), f"{source} to end", 60)

    def restart(self) -> None:
        """Restart the notebook kernel, as the menu does, without its question."""
        (session,) = self.server.api("sessions")
        self.server.api(f"kernels/{session['kernel']['id']}/restart", "POST")
        self._wait_for(self._idle, "the notebook kernel to restart", 60)

    def cell(self, index: int) -> Locator:
        """The cell `index`, counted from 0 with the prose, scrolled into view so that it is drawn."""
        self.page.evaluate("index => window.jupyterapp.shell.currentWidget.content.scrollToItem(index, 'start')", index)
        cell = self.page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{index}']")
        cell.wait_for(state="attached")
        cell.scroll_into_view_if_needed()
        return cell

    def output_of(self, index: int) -> Locator:
        """What the cell `index` has put out: text, tables and widgets, each after its prompt (``[3]:``)."""
        output = self.cell(index).locator(".jp-Cell-outputWrapper")
        output.scroll_into_view_if_needed()
        return output

    def theme(self, theme: str) -> None:
        """Change JupyterLab's theme: ``light`` or ``dark``."""
        self._command("apputils:change-theme", {"theme": THEMES[theme]})
        self.page.wait_for_selector(f"body[data-jp-theme-name='{THEMES[theme]}']", state="attached")

    def screenshot(self, name: str, of: Locator | None = None) -> Path:
        """Save what is seen (or only `of`) as ``test-results/NAME.png`` and return its path."""
        SCREENSHOTS.mkdir(exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        (of or self.page).screenshot(path=path, animations="disabled")
        return path

    def _show(self, name: str) -> None:
        self.page.goto(f"{self.server.url}/lab/tree/{urllib.parse.quote(name)}?reset&token={self.server.token}")
        self.page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.content?.widgets?.length > 0")
        # With one click the side bar goes, and the notebook has the width that a student gives it.
        self.page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
        self._wait_for(self._idle, "the notebook kernel to start", KERNEL_MS / 1000)

    def _command(self, name: str, arguments: dict[str, str] | None = None) -> None:
        self.page.evaluate(
            "([name, arguments]) => void window.jupyterapp.commands.execute(name, arguments)", [name, arguments or {}]
        )

    def _idle(self) -> bool:
        status = "window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status"
        running = "document.querySelectorAll('.jp-Notebook .jp-InputPrompt:not([hidden])')"
        return bool(
            self.page.evaluate(f"() => {status} === 'idle' && ![...{running}].some(p => p.textContent.includes('*'))")
        )

    def _executed(self) -> list[Any]:
        model = "window.jupyterapp.shell.currentWidget.content.widgets"
        found: list[Any] = self.page.evaluate(f"() => {model}.map(cell => cell.model.executionCount ?? null)")
        return found

    def _wait_for(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
            self.page.wait_for_timeout(50)


@pytest.fixture
def lab_page(server: Server, browser: Browser) -> Iterator[LabPage]:
    """A fresh tab. At the end: no error in the page, no request beyond this machine, no notebook kernel left."""
    with contextlib.closing(browser.new_context(viewport={"width": 1280, "height": 900})) as context:
        page = context.new_page()
        page.set_default_timeout(KERNEL_MS * 2)
        lab_page = LabPage(page, server)
        context.route("**/*", lambda route: route.continue_() if _local(route.request.url) else route.abort())
        page.on("request", lambda request: _note_foreign(lab_page.errors, request.url))
        page.on("pageerror", lambda error: lab_page.errors.append(f"error in the page: {error}"))
        page.on(
            "console",
            lambda message: lab_page.errors.append(f"console: {message.text}") if message.type == "error" else None,
        )
        yield lab_page
        with contextlib.suppress(Error):
            page.goto("about:blank")
    for session in server.api("sessions"):
        server.api(f"sessions/{session['id']}", "DELETE")
    for leftover in server.directory.iterdir():
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    assert not lab_page.errors, "\n".join(lab_page.errors)


def _note_foreign(errors: list[str], url: str) -> None:
    if not _local(url):
        errors.append(f"request beyond this machine: {url}")


def _local(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme in ("data", "blob", "about") or parts.hostname in ("127.0.0.1", "localhost")


def _children() -> set[int]:
    text = "".join(path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    return {int(pid) for pid in text.split()}


def _wait_until_it_answers(server: Server, jupyter: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTUP_S
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            server.api("status")
            return
        assert jupyter.poll() is None, f"JupyterLab ended:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"JupyterLab does not answer:\n{log.read_text()}"
        time.sleep(0.1)
