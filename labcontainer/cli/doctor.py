"""``lab doctor``: what this machine can do, found out by trying it, and what mends the rest."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

import click

from labcontainer.cli.table import table
from labcontainer.kernel import probe
from labcontainer.kernel.probe import Finding, Report, Status

_HEADS = ("", "feature", "what happened", "lessons")
# The word says it; colour only helps the eye.
_STYLES = {Status.YES: "green", Status.DEGRADED: "yellow", Status.NO: "bold red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything that was found, for programs.")
@click.option("--summary", "short", is_flag=True, help="Print one line, and the remedies.")
@click.option("-v", "--verbose", is_flag=True, help="Show what works, too, and how that was seen.")
def doctor(as_json: bool, short: bool, verbose: bool) -> None:
    """Try what containers need on this machine, each thing in a process of its own.

    Exit code: 0, or 1 where no container can run.
    """
    from labcontainer.engine import default_directories

    report = probe.run(default_directories()[0])
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        if not short:
            _print_table([finding for finding in report.findings if verbose or finding.status is not Status.YES])
        # The short form is for who wants to begin: what no lesson needs can wait.
        for line in remedies(finding for finding in report.findings if finding.lessons or not short):
            click.echo(line)
        click.echo(_last_line(report))
    sys.exit(0 if report.runs_containers else 1)


def remedies(findings: Iterable[Finding]) -> Iterable[str]:
    """Each remedy once, after the features that it mends."""
    titles: dict[str, list[str]] = {}
    for finding in findings:
        if finding.status is not Status.YES:
            titles.setdefault(finding.remedy, []).append(finding.title.partition(":")[0])
    for remedy, mended in titles.items():
        yield f"to mend {', '.join(mended)}:"
        yield f"    {remedy}"


def _last_line(report: Report) -> str:
    works = sum(finding.status is Status.YES for finding in report.findings)
    return f"{report.summary()}; {works} of {len(report.findings)} features work"


def lesson_ranges(lessons: Iterable[str]) -> str:
    """``01-03 07`` for the lessons 01, 02, 03 and 07."""
    ranges: list[list[str]] = []
    for lesson in lessons:
        if ranges and int(lesson) == int(ranges[-1][-1]) + 1:
            ranges[-1] = [ranges[-1][0], lesson]
        else:
            ranges.append([lesson])
    return " ".join("-".join(ends) for ends in ranges)


def _print_table(findings: list[Finding]) -> None:
    rows = [(finding.status.value, finding.title, finding.why, lesson_ranges(finding.lessons)) for finding in findings]
    if not rows:
        return
    if sys.stdout.isatty():
        _print_coloured(rows)
    else:
        click.echo(table(_HEADS, rows))
    click.echo()


def _print_coloured(rows: list[tuple[str, str, str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*_HEADS, box=None, pad_edge=False, header_style="bold")
    for status, *cells in rows:
        # As Text: what a system call says may have brackets, which rich would take for styles.
        drawn.add_row(Text(status, style=_STYLES[Status(status)]), *map(Text, cells))
    Console().print(drawn)
