"""The OOM score of a container's processes: whom the Linux kernel kills first when memory runs out.

A process is born with its parent's. So the parent takes on the score for the moment in which it makes the child: it
writes to the host's /proc, with its own privileges. The child would have the container's /proc, which may be anything,
and in a user namespace it would not own its own score any more.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from labcontainer.errors import HostError, KernelError
from labcontainer.kernel import procfs
from labcontainer.kernel.file import OpenFlag

_PATH = "self/oom_score_adj"


@contextmanager
def lent(wanted: int | None) -> Iterator[None]:
    """Children that are made inside have the score `wanted`; None leaves it alone.

    To be entered while this process is dumpable: then its score is still its own. Raises: HostError (to go lower needs
    CAP_SYS_RESOURCE), KernelError. See: man 5 proc (/proc/pid/oom_score_adj)
    """
    if wanted is None:
        yield
        return
    fd = procfs.open(_PATH, OpenFlag.O_RDWR)
    try:
        before = os.read(fd, 16).decode().strip()
        _write(fd, wanted, before)
        try:
            yield
        finally:
            _give_back(fd, before)
    finally:
        os.close(fd)


def _give_back(fd: int, before: str) -> None:
    try:
        procfs.write_to(fd, _PATH, before)
    except KernelError as error:
        # Who has joined a user namespace meanwhile has no CAP_SYS_RESOURCE any more, and keeps the higher score.
        if error.errno != errno.EACCES:
            raise


def _write(fd: int, wanted: int, before: str) -> None:
    try:
        procfs.write_to(fd, _PATH, str(wanted))
    except KernelError as error:
        if error.errno != errno.EACCES:
            raise
        least = f"a process can lower it to {before} at most without CAP_SYS_RESOURCE"
        raise HostError(
            f"the OOM score {wanted}", "choose a higher --oom-score-adj, or run as root with that capability", least
        ) from None
