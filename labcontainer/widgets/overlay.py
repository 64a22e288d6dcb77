"""The overlay bench: write, delete and rename in a real union, and watch the layers.

>>> with OverlayBench([{"etc/motd": "hello"}]) as bench:
...     bench.delete("merged/etc/motd")
...     bench.story
('upper/etc was made after lower1/etc, to hold the change.', 'upper/etc/motd is a whiteout now: …')
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labcontainer.errors import HostError, LabError
from labcontainer.runtime import fault
from labcontainer.runtime.bench import Bench, Files, Stack
from labcontainer.widgets import overlay_model as model
from labcontainer.widgets import page
from labcontainer.widgets.stage import STATIC, Stage

EXAMPLE: Sequence[Files] = (
    {"etc/motd": "welcome\n", "etc/hosts": "127.0.0.1 localhost\n", "usr/share/guide.txt": "read me first\n"},
    {"app/main.py": "print('hello')\n", "etc/motd": "welcome to the app\n"},
)


class OverlayStage(Stage):
    """Its script and style."""

    _esm = STATIC / "overlay.js"
    _css = STATIC / "overlay.css"


class OverlayBench:
    """Layers, upperdir and merged of one overlay, which lives until `close` or the end of the notebook kernel."""

    def __init__(self, contents: Sequence[Files] = EXAMPLE, directory: Path | str | None = None) -> None:
        """`contents` are the layers, the bottom one first, as path → text (None: a directory).

        A bench below the private `directory` stays there for a look from a terminal; without one it is in a temporary
        place. What the machine refuses is shown as a sentence, and raised by the first command.

        Raises: UsageError where `directory` holds a bench already.
        """
        self._layers = len(contents)
        self._bench: Bench | None = None
        self._stack: Stack | None = None
        self._shown = model.view(None)
        self._refusal: LabError | None = None
        self.stage = OverlayStage()
        self.stage.on_command(self._obey)
        self._contents, self._given = contents, Path(directory) if directory else None
        self._begin()

    def __enter__(self) -> OverlayBench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def stack(self) -> Stack:
        """All layers as they were after the last command."""
        self._alive()
        assert self._stack is not None
        return self._stack

    @property
    def story(self) -> tuple[str, ...]:
        """What the Linux kernel did on the last command."""
        return self._shown.story

    @property
    def directory(self) -> Path:
        """Where the layers are, for a look with other tools."""
        return self._alive().directory

    def write(self, path: str, text: str) -> None:
        """Make the file `path` (below ``merged/``), or replace what is in it.

        Raises: KernelError; UsageError. See: man 2 open
        """
        self._do("write", path, text)

    def append(self, path: str, text: str) -> None:
        """Add `text` at the end of the file `path`: a small change, and yet the whole file is copied up.

        Raises: KernelError; UsageError. See: man 2 open
        """
        self._do("append", path, text)

    def mkdir(self, path: str) -> None:
        """Make the directory `path`.

        Raises: KernelError; UsageError. See: man 2 mkdir
        """
        self._do("mkdir", path)

    def delete(self, path: str) -> None:
        """Remove the file or the whole directory `path`.

        Raises: KernelError; UsageError. See: man 2 unlink
        """
        self._do("delete", path)

    def rename(self, path: str, new_path: str) -> None:
        """Give `path` the name `new_path`.

        Raises: KernelError (EXDEV: a directory of a lower layer); UsageError. See: man 2 rename
        """
        self._do("rename", path, new_path)

    def chmod(self, path: str, mode: str) -> None:
        """Change the permissions of `path` to the octal `mode`, such as ``600``.

        Raises: KernelError; UsageError. See: man 2 chmod
        """
        self._do("chmod", path, mode)

    def reset(self) -> None:
        """A fresh bench with the same layers."""
        self.close()
        self._begin()

    def close(self) -> None:
        """Unmount, and remove the directories. Closing twice is fine."""
        if self._bench:
            self._finalizer()
        self._bench = self._stack = None
        self._refusal = HostError("this bench", remedy="call reset(), or make a new one", reason="it was closed")

    def __repr__(self) -> str:
        return model.text(self._layers)

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return page.mimebundle(self.stage.model_id, repr(self), model.html(self._shown))

    def _begin(self) -> None:
        temporary = None if self._given else tempfile.mkdtemp(prefix="labcontainer-bench-")
        try:
            self._bench = Bench(self._given or Path(str(temporary)), self._contents)
        except LabError as error:
            shutil.rmtree(temporary, ignore_errors=True) if temporary else None
            self._refusal = error
            return self._show(None, error=fault.sentence(error))
        self._refusal = None
        # Also at the interpreter's end: the child would go by itself, its temporary directory would not.
        self._finalizer = weakref.finalize(self, _end, self._bench, temporary)
        return self._show(self._bench.look())

    def _alive(self) -> Bench:
        if self._bench is None:
            raise self._refusal or HostError("this bench")
        return self._bench

    def _do(self, verb: str, path: str, argument: str = "") -> None:
        bench = self._alive()
        command = f"{verb} {path}" + (f" → {argument}" if verb == "rename" else "")
        before, error = self._stack, ""
        try:
            bench.act(verb, path, argument)
        except LabError as refused:
            error = fault.sentence(refused)
            raise
        finally:
            self._show(bench.look(), before, command=command, error=error)

    def _show(self, stack: Stack | None, before: Stack | None = None, *, command: str = "", error: str = "") -> None:
        mount = next((str(call) for call in self._bench.calls if '"overlay"' in str(call)), "") if self._bench else ""
        self._stack = stack
        self._shown = model.view(stack, before, command=command, error=error, mount=mount)
        self.stage.show(self._shown)

    def _obey(self, command: dict[str, Any]) -> None:
        # A refusal is on the stage already; behind a mouse there is nobody to raise it to.
        try:
            if command["verb"] == "reset":
                self.reset()
            else:
                self._do(command["verb"], command["path"], command.get("argument", ""))
        except LabError:
            return


def _end(bench: Bench, temporary: str | None) -> None:
    bench.close()
    if temporary:
        shutil.rmtree(temporary, ignore_errors=True)
