"""A terminal in the notebook: attached to a container's process 1, or to a command that is run in it.

>>> shell = Terminal(container, "sh")
>>> shell.feed("echo $((6 * 7))\\n")
>>> shell.wait_for("42")
'…42'
>>> shell.screen()
'/ # echo $((6 * 7))\\n42\\n/ # '

In the browser xterm.js draws it, from the same bytes. Closing the page, or restarting the notebook kernel, hangs up as
the end of ``docker attach`` does: the container goes on.
"""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Sequence
from typing import Any

from labcontainer.engine import Container
from labcontainer.errors import LabError
from labcontainer.oci.bundle import Bundle
from labcontainer.runtime import fault
from labcontainer.runtime.client import Connection
from labcontainer.widgets import page
from labcontainer.widgets import terminal_model as model
from labcontainer.widgets.stage import STATIC, Stage
from labcontainer.widgets.terminal_line import Line
from labcontainer.widgets.terminal_model import Line as Standing
from labcontainer.widgets.terminal_screen import Screen

# What a page that comes later is shown of what was before; and what is kept for `wait_for`.
_KEPT_BYTES = 1 << 18
# So much may be on its way to a page that has not drawn it yet; a page that draws nothing for so long is gone.
_MOST_UNDRAWN_BYTES = 1 << 18
_GONE_AFTER_S = 5.0


class TerminalStage(Stage):
    """Its script and style. Bytes go both ways as buffers of messages, and are never part of the widget's state."""

    _esm = STATIC / "terminal.js"
    _css = STATIC / "terminal.css"


class _Page:
    """One place where the terminal is drawn, and how far that has come."""

    def __init__(self) -> None:
        self.undrawn_bytes = 0
        self.heard = time.monotonic()


class Terminal:
    """A line to a program in a container, and its screen."""

    def __init__(
        self,
        container: Container,
        command: str | Sequence[str] | None = None,
        *,
        rows: int = 24,
        columns: int = 80,
        **settings: Any,
    ) -> None:
        """Run `command` in the container with a terminal of its own (``exec -it``), or attach to its process 1.

        Settings for a command: environment, workdir, user, privileged. Raises: StateError, InitError, UsageError.
        """
        self.container = container
        self.exit_code: int | None = None
        words = shlex.split(command) if isinstance(command, str) else list(command or ())
        self._command, self._settings = words, settings
        self._error = ""
        self._name = container.name
        self._tty = bool(words) or _has_terminal(container)
        self._takes_input = bool(words) or bool(container.record.settings.get("stdin_open"))
        self._screen = Screen(rows, columns)
        self._kept = bytearray()
        # What was written as text, less what was dropped before it; positions count from the very beginning.
        self._text, self._dropped, self._searched = "", 0, 0
        self._pages: dict[str, _Page] = {}
        self._changed = threading.Condition(threading.RLock())
        self._standing = Standing.DETACHED
        self.stage = TerminalStage()
        self.stage.on_msg(self._obey)
        self.attach()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def attached(self) -> bool:
        """Whether the line stands."""
        return self._standing is Standing.ATTACHED

    def attach(self) -> None:
        """Get another line after `detach` or after the end; a command is run again. Raises: StateError, InitError."""
        if self.attached:
            return
        connection = self._opened()
        with self._changed:
            self.exit_code, self._error, self._standing = None, "", Standing.ATTACHED
            self._line = Line(connection, show=self._put, ended=self._ended, held=self._held)
            self._line.resize(self._screen.rows, self._screen.columns)
            self._show()

    def feed(self, data: str | bytes) -> None:
        """Type `data`, as a keyboard would; ``"\\x03"`` is ctrl-C. After the end it goes nowhere."""
        if self.attached:
            self._line.type(data.encode() if isinstance(data, str) else data)

    def wait_for(self, text: str, timeout: float = 30) -> str:
        """Wait until the program has written `text` since the last wait, and return what it wrote up to there.

        A terminal also echoes what is typed: wait for something that was not. Raises: TimeoutError; EOFError (it has
        ended, or the line is down).
        """
        at, seen = -1, self._searched

        def there() -> bool:
            nonlocal at, seen
            at = self._text.find(text, max(0, seen - self._dropped))
            # What was looked at is not looked at again.
            seen = max(seen, self._dropped + len(self._text) - len(text) + 1)
            return at >= 0 or not self.attached

        with self._changed:
            ended = self._changed.wait_for(there, timeout)
            begin = max(0, self._searched - self._dropped)
            if at < 0:
                raise (EOFError if ended else TimeoutError)(f"no {text!r} in what came: {self._text[begin:][-200:]!r}")
            self._searched = self._dropped + at + len(text)
            return self._text[begin : at + len(text)]

    def screen(self) -> str:
        """The text that stands on the screen now."""
        with self._changed:
            return self._screen.text()

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal another size; the program gets SIGWINCH."""
        with self._changed:
            self._screen.resize(rows, columns)
            if self.attached:
                self._line.resize(rows, columns)

    def detach(self) -> None:
        """Hang up; the program goes on. Twice is fine."""
        with self._changed:
            if not self.attached:
                return
            self._standing = Standing.DETACHED
        self._line.close()
        with self._changed:
            self._show()
            self._changed.notify_all()

    close = detach

    def __repr__(self) -> str:
        return model.text()

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return page.mimebundle(self.stage.model_id, repr(self), model.html(self._view(), self.screen()))

    def _opened(self) -> Connection:
        if self._command:
            return self.container.exec_open(self._command, tty=True, stdin=True, **self._settings)
        return self.container.attach()

    # -- from the container; called in the line's thread

    def _put(self, data: bytes) -> None:
        with self._changed:
            self._text = self._text + self._screen.write(data)
            if len(self._text) > 2 * _KEPT_BYTES:
                self._dropped += len(self._text) - _KEPT_BYTES
                self._text = self._text[-_KEPT_BYTES:]
            self._kept += data
            if len(self._kept) > 2 * _KEPT_BYTES:
                del self._kept[: len(self._kept) - _KEPT_BYTES]
            for each in self._pages.values():
                each.undrawn_bytes += len(data)
            if self._pages:
                self.stage.send({"kind": "output", "pages": list(self._pages)}, [data])
            self._changed.notify_all()

    def _ended(self, code: int | None) -> None:
        with self._changed:
            self.exit_code, self._standing = code, Standing.LOST if code is None else Standing.ENDED
            self._show()
            self._changed.notify_all()

    def _held(self) -> bool:
        """Whether a page has too much to draw already. One that was closed without a word is forgotten at last."""
        with self._changed:
            now = time.monotonic()
            behind = {name for name, each in self._pages.items() if each.undrawn_bytes > _MOST_UNDRAWN_BYTES}
            for name in behind:
                if now - self._pages[name].heard > _GONE_AFTER_S:
                    del self._pages[name]
            return any(name in self._pages for name in behind)

    # -- from the browser

    def _obey(self, _stage: object, command: dict[str, Any], buffers: Sequence[bytes]) -> None:
        name = command.get("page", "")
        match command["verb"]:
            case "open":
                self._open_page(name)
            case "drawn":
                self._drawn(name, int(command["bytes"]))
            case "closed":
                with self._changed:
                    self._pages.pop(name, None)
            case "type":
                self.feed(b"".join(map(bytes, buffers)))
            case "resize":
                self.resize(int(command["rows"]), int(command["columns"]))
            case "detach":
                self.detach()
            case "attach":
                self._attach_again()

    def _open_page(self, name: str) -> None:
        with self._changed:
            self._pages[name] = _Page()
            self.stage.send({"kind": "begin", "pages": [name]}, [bytes(self._kept)])

    def _drawn(self, name: str, size: int) -> None:
        with self._changed:
            if name not in self._pages:
                return self._open_page(name)  # it was slow, and not gone: it has missed something
            self._pages[name].undrawn_bytes -= size
            self._pages[name].heard = time.monotonic()
            if self.attached:
                self._line.wake()
        return None

    def _attach_again(self) -> None:
        # A refusal is put on the stage; behind a mouse there is nobody to raise it to.
        try:
            self.attach()
        except LabError as error:
            self._error = fault.sentence(error)
            self._show()

    def _view(self) -> model.View:
        return model.view(
            self._name, " ".join(self._command), self._standing, exit_code=self.exit_code, tty=self._tty,
            takes_input=self._takes_input, error=self._error,
        )  # fmt: skip

    def _show(self) -> None:
        self.stage.show(self._view())


def _has_terminal(container: Container) -> bool:
    process = Bundle(container.directory).read().process
    return process is not None and process.terminal
