"""The doctor card: what this machine can do for the lessons, and the command that mends what it cannot.

>>> card = DoctorCard()
>>> card.filter("problems")
>>> [finding.remedy for finding in card.findings]
['sudo sysctl -w …']
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import traitlets

from labcontainer.errors import LabError
from labcontainer.widgets import doctor_model as model
from labcontainer.widgets import page
from labcontainer.widgets.stage import STATIC, Stage


class DoctorStage(Stage):
    """Its script and style, and the finding that is open."""

    _esm = STATIC / "doctor.js"
    _css = STATIC / "doctor.css"

    opened = traitlets.Unicode("").tag(sync=True)


class DoctorCard:
    """The report of `kernel.probe` as a card; without one, the machine is examined first."""

    def __init__(self, report: Mapping[str, Any] | None = None) -> None:
        if report is None:
            from labcontainer.engine import default_directories
            from labcontainer.kernel import probe

            report = probe.run(default_directories()[0]).to_json()
        self._report = report
        self._shown = model.view(report)
        self.stage = DoctorStage()
        self.stage.on_command(self._obey)
        self.stage.show(self._shown)

    @property
    def findings(self) -> tuple[model.Finding, ...]:
        """The findings that pass the filter, the worst first."""
        return self._shown.findings

    def filter(self, status: str) -> None:
        """Show ``all`` findings, only the ``problems``, or those with status ``yes``, ``degraded`` or ``no``.

        Raises: UsageError.
        """
        self._shown = model.view(self._report, filter=status)
        self.stage.show(self._shown)

    def open(self, id: str) -> model.Finding:
        """Open the finding `id`, and return it.

        Raises: NotFound.
        """
        finding = model.find(self._shown, id)
        self.stage.opened = id
        return finding

    def __repr__(self) -> str:
        return model.text(self._shown)

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return page.mimebundle(self.stage.model_id, repr(self), model.html(self._shown))

    def _obey(self, command: dict[str, Any]) -> None:
        try:
            if command["verb"] == "filter":
                self.filter(command["status"])
            elif command["verb"] == "open":
                self.open(command["id"])
        except LabError:
            return
