"""Putting right what a killed process has left: the next start finds the truth from the Linux kernel.

A container is left alone while its init or its monitor lives. Once both are gone, its cgroup is removed, its end is
written down, and one that was to be removed is removed. A directory without a state is held by the engine that makes it
(`lock`); one that nobody holds is removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from labcontainer.engine.container import read_record
from labcontainer.errors import LabError, NotFound, SpecError, told
from labcontainer.kernel import cgroup
from labcontainer.runtime import client, events, state
from labcontainer.runtime.remove import remove_tree
from labcontainer.runtime.state import State, Status


def lock(directory: Path) -> int:
    """A descriptor that holds `directory` for the engine that makes a container in it, until that engine ends.

    Raises: BlockingIOError where another holds it; OSError.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(fd)
        raise
    return fd


def mend(directory: Path, locked: Callable[[], AbstractContextManager[None]]) -> list[str]:
    """Mend one container's directory; returns a sentence for each thing that was mended.

    Inside of `locked` nobody makes a new directory.
    """
    try:
        now = state.observe(directory)
        written = state.load(directory)
    except NotFound:
        with locked():
            return _never_began(directory)
    except SpecError as error:
        return _unreadable(directory, error)
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
    try:
        if read_record(directory).remove:
            attributes = events.attributes(directory)
            remove_tree(directory)
            events.record(directory.parents[1], "destroy", directory.name, attributes)
            mended.append(f"container {directory.name[:12]}: removed, as --rm had asked")
    except LabError:
        pass  # removed by another engine, or its record is damaged: then it stays for its owner to look at
    except OSError as error:
        mended.append(f"container {directory.name[:12]}: not removed, as --rm had asked: {told(error)}")
    return mended


def forget_traces(run: Path, locked: Callable[[], AbstractContextManager[None]]) -> None:
    """Remove the traces that killed engines were recording: the file of a living one is held, as by `lock`."""
    for path in run.glob("trace-*.jsonl"):
        with locked(), contextlib.suppress(OSError), open(path) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _never_began(directory: Path) -> list[str]:
    try:
        os.close(lock(directory))
        if (directory / state.NAME).exists():
            return []
        # Where a monitor begins at this moment, its client was killed: it will find nothing, and end.
        remove_tree(directory)
    except OSError:
        return []
    return [f"container {directory.name[:12]}: removed, its engine was killed before it began"]


def _unreadable(directory: Path, error: SpecError) -> list[str]:
    with contextlib.suppress(OSError):
        client.attach(directory).close()
        return []  # its monitor lives, and will write the state anew
    _remove_cgroup(directory.name)
    now = State(directory.name, Status.STOPPED, state.boot_id(), exit_code=255, error=str(error))
    state.save(directory, now)
    return [f"container {directory.name[:12]}: {error}"]


def _remove_cgroup(name: str) -> None:
    with contextlib.suppress(LabError):
        left = cgroup.open(name)
        left.kill()
        left.remove()
