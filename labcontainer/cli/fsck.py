"""``lab system fsck``."""

from __future__ import annotations

import json
import sys

import click

from labcontainer.engine import default_directories
from labcontainer.engine import fsck as engine_fsck
from labcontainer.engine.fsck import Finding


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings for programs.")
@click.option("--repair", is_flag=True, help="Mend what can be mended; data is put into quarantine/, never deleted.")
def fsck(as_json: bool, repair: bool) -> None:
    """Check containers, images and layers on disk against the Linux kernel and against their own digests.

    Without --repair nothing is changed. Exit code: 0 where nothing is wrong any more, else 1.
    """
    root, run = default_directories()
    found = (engine_fsck.repair if repair else engine_fsck.check)(root, run)
    left = [finding for finding in found if not finding.mended and not finding.harmless]
    if as_json:
        click.echo(json.dumps([finding.to_json() for finding in found], indent=2, ensure_ascii=False))
    else:
        for finding in found:
            click.echo(sentence(finding, tried=repair))
        click.echo(_summary(found, left, root=str(root)))
    sys.exit(1 if left else 0)


def sentence(finding: Finding, *, tried: bool) -> str:
    """``container 4f5c…: its state.json is damaged`` and below it what mends that, or has."""
    if finding.mended:
        done = f"mended: {finding.remedy}"
    elif finding.reason:
        done = f"not mended: {finding.reason}"
    elif finding.mendable and not tried:
        done = f"--repair mends it: {finding.remedy}"
    else:
        done = finding.remedy
    return f"{finding.subject}: {finding.problem}\n    {done}"


def _summary(found: list[Finding], left: list[Finding], *, root: str) -> str:
    if not found:
        return f"{root}: nothing is wrong"
    mended = sum(finding.mended for finding in found)
    return f"{root}: {len(found)} findings, {mended} of them mended, {len(left)} wrong"
