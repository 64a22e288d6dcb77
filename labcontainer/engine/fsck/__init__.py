"""``lab system fsck``: what an engine root says, held against the Linux kernel and against its own digests.

    findings = fsck.check(root, run)              nothing is changed, no container is looked after
    findings = fsck.repair(root, run)             what can be mended without losing anything is mended

    containers.py   a container's files; state.json against processes, boot and cgroup; mounts, FIFOs, sockets
    images.py       the image layout: index, every blob hashed again, what is named and missing; unpacked layers
    leftovers.py    cgroups, zygotes' sockets, locks, traces and half-made things of processes that were killed

Nothing that holds somebody's data is deleted: it goes to ``quarantine/`` in the engine root. Not checked are the files
of an unpacked layer: a layer has no digest once it is unpacked (remove it, and it is unpacked again).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from labcontainer.engine.engine import Engine
from labcontainer.engine.fsck import containers, images, leftovers
from labcontainer.engine.fsck.finding import Finding
from labcontainer.errors import LabError, told

__all__ = ["Finding", "check", "repair"]


def check(root: Path, run: Path) -> list[Finding]:
    """What is wrong with the engine of these directories; nothing is changed. Raises: OSError."""
    return list(_findings(root, run))


def repair(root: Path, run: Path) -> list[Finding]:
    """`check`, and mend what can be; each finding says whether it is `mended`. Raises: OSError."""
    found = check(root, run)
    failed: dict[tuple[str, str], str] = {}
    for finding in found:
        if finding.mend is not None:
            try:
                finding.mend()
            except (LabError, OSError) as error:
                failed[finding.key] = told(error) if isinstance(error, OSError) else str(error)
    if root.is_dir() and not any(finding.subject == "engine.lock" and not finding.mendable for finding in found):
        Engine(root, run)  # opening one mends what a killed process has left of containers
    left = {finding.key for finding in _findings(root, run)}
    return [finding.after(mended=finding.key not in left, reason=failed.get(finding.key, "")) for finding in found]


def _findings(root: Path, run: Path) -> Iterator[Finding]:
    yield from images.findings(root)
    yield from containers.findings(root)
    yield from leftovers.findings(root, run)
