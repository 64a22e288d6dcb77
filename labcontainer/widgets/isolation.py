"""The isolation matrix: switch namespaces on, and a real child says what it sees from inside.

>>> matrix = IsolationMatrix()
>>> matrix.set(pid=True, mnt=True)
>>> matrix.run().inside.processes
(SeenProcess(pid=1, name='python3'),)
"""

from __future__ import annotations

from typing import Any

from labcontainer.errors import LabError, UsageError
from labcontainer.runtime import fault, witness
from labcontainer.runtime.witness import Testimony
from labcontainer.widgets import isolation_model as model
from labcontainer.widgets import page
from labcontainer.widgets.stage import STATIC, Stage


class IsolationStage(Stage):
    """Its script and style."""

    _esm = STATIC / "isolation.js"
    _css = STATIC / "isolation.css"


class IsolationMatrix:
    """Eight switches, and two views of one machine. It begins with a child that shares everything."""

    def __init__(self, **namespaces: bool) -> None:
        self.testimony: Testimony | None = None
        self._wanted: frozenset[str] = frozenset()
        self._fresh_proc = True
        self._error = ""
        self.stage = IsolationStage()
        self.stage.on_command(self._obey)
        self.set(**namespaces)
        self._try()

    def set(self, *, fresh_proc: bool | None = None, **namespaces: bool) -> None:
        """Switch namespaces on or off by their names in /proc/PID/ns: ``set(pid=True, net=False)``.

        `fresh_proc` says whether a child with its own pid and mnt namespaces mounts its own /proc.

        Raises: UsageError (no such namespace).
        """
        for name in namespaces:
            if name not in model.GOVERNS:
                raise UsageError("namespace", name, f"choose from {', '.join(model.GOVERNS)}")
        off = {name for name, on in namespaces.items() if not on}
        self._wanted = (self._wanted | {name for name, on in namespaces.items() if on}) - off
        self._fresh_proc = self._fresh_proc if fresh_proc is None else fresh_proc
        self._show()

    def run(self) -> Testimony:
        """Make a child in just these namespaces, and return what it and the host see.

        Raises: KernelError or HostError where the machine refuses; the widget shows the same as a sentence.
        """
        try:
            self.testimony, self._error = witness.ask(self._wanted, fresh_proc=None if self._fresh_proc else False), ""
        except LabError as error:
            self.testimony, self._error = None, fault.sentence(error)
            raise
        finally:
            self._show()
        return self.testimony

    def __repr__(self) -> str:
        return model.text(self._wanted)

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return page.mimebundle(self.stage.model_id, repr(self), model.html(self._view()))

    def _obey(self, command: dict[str, Any]) -> None:
        if command["verb"] == "set":
            self.set(fresh_proc=command.get("fresh_proc"), **command.get("namespaces", {}))
        self._try()

    def _try(self) -> None:
        # A refusal is on the stage already; behind a mouse there is nobody to raise it to.
        try:
            self.run()
        except LabError:
            return

    def _view(self) -> model.View:
        return model.view(self._wanted, self.testimony, fresh_proc=self._fresh_proc, error=self._error)

    def _show(self) -> None:
        self.stage.show(self._view())
