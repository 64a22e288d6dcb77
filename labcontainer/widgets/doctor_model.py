"""The doctor's report as data for a card: what works, what does not, and the mend.

The report is `kernel.probe`'s, as plain JSON; nothing here tries anything on the machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labcontainer.errors import NotFound, UsageError
from labcontainer.widgets import page

STATUSES = ("no", "degraded", "yes")
FILTERS = ("all", "problems", *STATUSES)

_MODES = {
    "root": "You are root: containers have every feature that this machine has.",
    "rootless-ranges": "You are an ordinary user with a range of ids of your own: containers hold many users.",
    "rootless-single": "You are an ordinary user with one id: containers hold one user, who is root inside.",
}
_WORDS = {"yes": "works", "degraded": "works in part", "no": "missing"}


# A remedy that can be pasted into a shell, and what is said after it: "sudo -i", "and run this as root".
_COMMAND = re.compile(
    r"(?P<command>(?:sudo|docker|podman|lxc|systemd-nspawn) .*?)(?P<remark> \([^()]*\)|, (?:and|then) .*)?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried, and how it went. A `remedy` is a `command`, or an `advice`, or a command with one."""

    id: str
    title: str
    status: str
    word: str
    why: str
    remedy: str
    command: str
    advice: str
    lessons: tuple[str, ...]
    needed_by: str  # the lessons in few words: "lessons 02, 06–12"


@dataclass(frozen=True, slots=True)
class View:
    """All that the card shows: `findings` are those that pass the filter, the worst first; `counts` are of all."""

    headline: str
    mode: str
    facts: tuple[tuple[str, str], ...]
    counts: dict[str, int]
    filter: str
    findings: tuple[Finding, ...]


def view(report: Mapping[str, Any], *, filter: str = "all") -> View:
    """The card for a report of `kernel.probe`, limited to ``problems``, ``yes``, ``degraded`` or ``no``.

    Raises: UsageError where `filter` is none of these.
    """
    if filter not in FILTERS:
        raise UsageError("filter", filter, f"choose from {', '.join(FILTERS)}")
    findings = sorted(map(_finding, report["findings"]), key=lambda finding: STATUSES.index(finding.status))
    counts = {status: sum(finding.status == status for finding in findings) for status in STATUSES}
    wanted = {"all": STATUSES, "problems": ("no", "degraded")}.get(filter, (filter,))
    return View(
        headline=_headline(counts),
        mode=_MODES.get(report["mode"], str(report["mode"])),
        facts=tuple(_facts(report["host"])),
        counts=counts,
        filter=filter,
        findings=tuple(finding for finding in findings if finding.status in wanted),
    )


def find(shown: View, id: str) -> Finding:
    """The finding called `id`.

    Raises: NotFound.
    """
    for finding in shown.findings:
        if finding.id == id:
            return finding
    raise NotFound("finding", id, f"choose from {', '.join(finding.id for finding in shown.findings)}")


def text(shown: View) -> str:
    """The card as one line that is the same on every machine."""
    return "DoctorCard: what this machine can do for the lessons"


def html(shown: View) -> str:
    """The card as a table, the worst first."""
    rows = [(f.word, f.title, f.why, f.remedy, f.needed_by) for f in shown.findings]
    return page.figure(
        shown.headline,
        page.paragraph(shown.mode),
        page.table(("", "feature", "why", "to mend it", "needed by"), rows),
    )


def _headline(counts: Mapping[str, int]) -> str:
    if counts["no"]:
        verb = "is" if counts["no"] == 1 else "are"
        return f"{counts['no']} of {sum(counts.values())} features {verb} missing on this machine"
    if counts["degraded"]:
        return f"Ready, with {counts['degraded']} of {sum(counts.values())} features working in part"
    return f"Ready: all {sum(counts.values())} features work"


def _finding(fields: Mapping[str, Any]) -> Finding:
    command, advice = _told_apart(fields["remedy"])
    return Finding(
        id=fields["id"],
        title=fields["title"],
        status=fields["status"],
        word=_WORDS[fields["status"]],
        why=fields["why"],
        remedy=fields["remedy"],
        command=command,
        advice=advice,
        lessons=tuple(fields["lessons"]),
        needed_by=_needed_by(fields["lessons"]),
    )


def _told_apart(remedy: str) -> tuple[str, str]:
    """What can be copied into a shell, and what only a person can do."""
    if match := _COMMAND.fullmatch(remedy):
        return match["command"], (match["remark"] or "").strip(" ,()")
    return "", remedy


def _needed_by(lessons: Sequence[str]) -> str:
    """Lessons that follow each other are named by the first and the last."""
    runs: list[list[str]] = []
    for lesson in sorted(lessons):
        if runs and int(lesson) == int(runs[-1][-1]) + 1:
            runs[-1].append(lesson)
        else:
            runs.append([lesson])
    words = [f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(run) for run in runs]
    return f"lesson{'s' if len(lessons) > 1 else ''} {', '.join(words)}" if words else ""


def _facts(host: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    known = {key: value for key, value in host.items() if value not in (None, "", [], {})}
    return [(key.removesuffix("_bytes").replace("_", " "), _shown(key, value)) for key, value in known.items()]


def _shown(key: str, value: object) -> str:
    if key.endswith("_bytes") and isinstance(value, int):
        return f"{value / 2**30:.1f} GiB"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
