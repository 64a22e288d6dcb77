"""Putting right what a killed process has left: the next start finds the truth from the Linux kernel.

A container is left alone while its init or its monitor lives. Once both are gone, its cgroup is removed, its end is
written down, and one that was to be removed is removed.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path

from labcontainer.engine.container import RECORD, read_record
from labcontainer.errors import LabError, NotFound, SpecError
from labcontainer.kernel import cgroup
from labcontainer.runtime import events, state
from labcontainer.runtime.remove import remove_tree
from labcontainer.runtime.state import Status

# An engine that is just writing a new container's directory needs a moment until its state appears.
_YOUNG_S = 60


def mend(directory: Path) -> list[str]:
    """Mend one container's directory; returns a sentence for each thing that was mended."""
    try:
        now = state.observe(directory)
        written = state.load(directory)
    except (NotFound, SpecError):
        return _never_began(directory)
    if now.status is not Status.STOPPED:
        return []
    mended = []
    # Observed as stopped, its processes are gone: what is written now is the last that will be.
    if written.status is not Status.STOPPED:
        _remove_cgroup(written.cgroup or directory.name)
        state.save(directory, replace(now, finished_ns=now.finished_ns or time.time_ns()))
        (directory / "monitor.sock").unlink(missing_ok=True)
        ended = {**events.attributes(directory), "exitCode": str(now.exit_code)}
        events.record(directory.parents[1], "die", directory.name, ended)
        mended.append(f"container {directory.name[:12]}: {now.error}")
    with contextlib.suppress(LabError):
        if read_record(directory).remove:
            attributes = events.attributes(directory)
            remove_tree(directory)
            events.record(directory.parents[1], "destroy", directory.name, attributes)
            mended.append(f"container {directory.name[:12]}: removed, as --rm had asked")
    return mended


def _never_began(directory: Path) -> list[str]:
    marker = directory / RECORD
    try:
        age = time.time() - (marker if marker.exists() else directory).stat().st_mtime
    except OSError:
        return []
    if age < _YOUNG_S:
        return []
    remove_tree(directory)
    return [f"container {directory.name[:12]}: removed, its engine was killed before it began"]


def _remove_cgroup(name: str) -> None:
    with contextlib.suppress(LabError):
        left = cgroup.open(name)
        left.kill()
        left.remove()
