"""What a probe has found, as data."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from labcontainer.errors import NotFound

LESSONS = tuple(f"{number:02}" for number in range(16))


class Status(enum.StrEnum):
    """Whether a thing works here; degraded: it does in part, or something else stands in for it."""

    YES = "yes"
    DEGRADED = "degraded"
    NO = "no"


class Mode(enum.StrEnum):
    """As whom containers are run: root, or an ordinary user who has a range of ids to give away, or only their own."""

    ROOT = "root"
    RANGES = "rootless-ranges"
    SINGLE = "rootless-single"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. ``why`` says what happened; ``remedy`` is the command or setting that mends it.

    ``lessons`` are those that need it (by number, ``"02"``), whether it works or not.
    """

    id: str
    title: str
    status: Status
    why: str
    remedy: str
    lessons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All findings about one machine, for one user. ``host`` are facts, not judged."""

    host: Mapping[str, object]
    mode: Mode
    findings: tuple[Finding, ...]

    def finding(self, id: str) -> Finding:
        """The finding called `id`. Raises: NotFound."""
        for finding in self.findings:
            if finding.id == id:
                return finding
        raise NotFound("finding", id)

    def blocked(self) -> tuple[str, ...]:
        """The lessons that need something that does not work."""
        return self._lessons(Status.NO)

    def limited(self) -> tuple[str, ...]:
        """The lessons that run, but need something that works in part."""
        blocked = self.blocked()
        return tuple(lesson for lesson in self._lessons(Status.DEGRADED) if lesson not in blocked)

    def to_json(self) -> dict[str, Any]:
        """``{"host": {…}, "mode": "root", "findings": [{"id", "title", "status", "why", "remedy", "lessons"}]}``."""
        findings = [{**asdict(finding), "lessons": list(finding.lessons)} for finding in self.findings]
        return {"host": dict(self.host), "mode": self.mode.value, "findings": findings}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Report:
        """The inverse of `to_json`."""
        return cls(
            host=data["host"],
            mode=Mode(data["mode"]),
            findings=tuple(
                Finding(**{**fields, "status": Status(fields["status"]), "lessons": tuple(fields["lessons"])})
                for fields in data["findings"]
            ),
        )

    def _lessons(self, status: Status) -> tuple[str, ...]:
        return tuple(
            sorted({lesson for finding in self.findings if finding.status is status for lesson in finding.lessons})
        )
