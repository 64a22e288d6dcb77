"""The directories that cgroups are: made with their parents, found with what is nested in them, removed in time."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

from labcontainer.errors import KernelError
from labcontainer.kernel import file

PATIENCE_S = 2.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.0002, 0.02


def make(directory: Path) -> None:
    """Make `directory`, and those above it that are missing; one that is there is well.

    Raises: KernelError. See: man 2 mkdir, man 7 cgroups
    """
    try:
        file.mkdir(directory)
    except KernelError as error:
        if error.errno == errno.ENOENT:
            make(directory.parent)
            make(directory)
        elif error.errno != errno.EEXIST:
            raise


def remove(directory: Path) -> None:
    """Remove the cgroup `directory` and those nested in it, waiting for processes that are just dying.

    Raises: KernelError (EBUSY: processes live in it). See: man 7 cgroups
    """
    refused: list[KernelError] = []

    def gone() -> bool:
        try:
            file.rmdir(directory)
        except KernelError as error:
            if error.errno == errno.ENOENT:
                return True
            if error.errno != errno.EBUSY:
                raise
            # Busy with processes, or with cgroups that the container has made inside: whatever of those is empty goes.
            refused[:] = [error]
            for nested in reversed(below(directory)[1:]):
                with contextlib.suppress(KernelError):
                    file.rmdir(nested)
            return False
        return True

    if not until(gone):
        raise refused[0]


def below(top: Path) -> list[Path]:
    """`top` and every cgroup below it, parents first; empty where `top` is gone.

    See: man 7 cgroups
    """
    return [Path(place) for place, _, _ in os.walk(top)]


def processes(top: Path) -> set[int]:
    """The processes in `top` and below, as far as this PID namespace sees them.

    See: man 7 cgroups (cgroup.procs)
    """
    found: set[int] = set()
    for place in below(top):
        with contextlib.suppress(KernelError):  # it was removed meanwhile
            found.update(map(int, file.read(place / "cgroup.procs").split()))
    # 0 stands for a process of another PID namespace; given to kill(2) it would mean our own group.
    return found - {0}


def until(done: Callable[[], bool]) -> bool:
    """Ask `done` again and again, ever more slowly, for two seconds; returns its last answer.

    See: man 2 nanosleep
    """
    deadline, pause_s = time.monotonic() + PATIENCE_S, _FIRST_PAUSE_S
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    return True
