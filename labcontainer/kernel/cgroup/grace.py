"""Version 1's waiting time, begun early.

Attaching a process takes a lock that every fork and exit on the machine holds for reading. After a pause the writer
must wait for a grace period of RCU, 8 ms and more; for some 20 ms afterwards further writers need not.
So a client that is about to ask for a container moves itself to where it is already: nothing changes, and by the time
the container's init is attached the wait is over.
"""

from __future__ import annotations

import contextlib
import threading

from labcontainer.errors import KernelError
from labcontainer.kernel import file, trace
from labcontainer.kernel.cgroup.host import host


def begin() -> None:
    """Start the wait in a thread of its own, and return at once; on a pure version 2 host there is nothing to wait for.

    See: https://docs.kernel.org/locking/percpu-rw-semaphore.html
    """
    threading.Thread(target=_move_to_where_we_are, daemon=True).start()


def _move_to_where_we_are() -> None:
    with contextlib.suppress(KernelError), trace.step("grace period", "the wait for version 1's lock is begun early"):
        found = host()
        if "pids" in found.mounts:
            file.write(found.own("pids") / "cgroup.procs", "0")
