"""What a probe has found, as data."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from labcontainer.errors import NotFound

LESSONS = tuple(f"{number:02}" for number in range(16))
# A lesson that starts a container needs all that containers are made of; the other lessons need less.
STARTS_CONTAINERS = ("01", "02", "06", "07", "08", "09", "10", "11", "12", "14", "15")


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


_AS = {
    Mode.ROOT: "root",
    Mode.RANGES: "an ordinary user with a range of ids",
    Mode.SINGLE: "an ordinary user with a single id",
}


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

    @property
    def runs_containers(self) -> bool:
        """Whether any lesson that starts containers can run."""
        return not set(STARTS_CONTAINERS) <= set(self.blocked())

    def summary(self) -> str:
        """One line: ``this machine has what 15 of the course's 16 lessons need, as root (not 08; in part: 09)``."""
        blocked, limited = self.blocked(), self.limited()
        notes = [f"not {', '.join(blocked)}"] if blocked else []
        notes += [f"in part: {', '.join(limited)}"] if limited else []
        able = f"{len(LESSONS) - len(blocked)} of the course's {len(LESSONS)} lessons"
        text = f"this machine has what {able} need, as {_AS[self.mode]}"
        return f"{text} ({'; '.join(notes)})" if notes else text

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
