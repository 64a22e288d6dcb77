"""Limits that must fit each other at every moment, not only when the last of them is written.

Raised from 64 to 128 MiB, version 1's memory and swap must be written swap first; lowered, memory first; a quota must
not fall below its burst, and shares are refused to what is idle. Rather than to know each such rule, and which values
stand there now, the writes are tried in turn: what is refused waits until another has gone through.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from labcontainer.errors import KernelError
from labcontainer.kernel import file


def write(wanted: Sequence[tuple[Path, object]]) -> None:
    """Write each (path, value), in whichever order the Linux kernel takes them.

    Raises: KernelError (EINVAL: the last refusal, when no order is left to try). See: man 7 cgroups
    """
    left = list(wanted)
    while left:
        refused: list[tuple[Path, object]] = []
        for path, value in left:
            try:
                file.write(path, str(value))
            except KernelError as error:
                refused.append((path, value))
                if error.errno != errno.EINVAL or len(refused) == len(left):
                    raise
        left = refused
