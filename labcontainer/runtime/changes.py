"""Waiting until somebody changes a directory; another thread can end the wait."""

from __future__ import annotations

import os
import select
import threading
from pathlib import Path
from types import TracebackType

from labcontainer.errors import KernelError
from labcontainer.kernel import inotify
from labcontainer.kernel.inotify import Watch

_CHANGED = Watch.IN_MODIFY | Watch.IN_CREATE | Watch.IN_MOVED_TO | Watch.IN_DELETE | Watch.IN_DELETE_SELF
# Where a user has as many watchers as the Linux kernel allows, looking now and then must do.
_LOOK_EVERY_S = 0.2


class Changes:
    """What happens in `directory`, from ``with Changes(directory) as changes:`` on."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._cancelled = False
        self._cancel: int | None = None
        self._notify: int | None = None

    def __enter__(self) -> Changes:
        with self._lock:
            self._cancel = os.eventfd(1 if self._cancelled else 0, os.EFD_CLOEXEC)
        self._notify = _watch(self._directory)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            for fd in (self._cancel, self._notify):
                if fd is not None:
                    os.close(fd)
            self._cancel = self._notify = None

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    def wait(self, timeout_s: float) -> None:
        """Return when something has changed since the last wait, when `cancel` was called, or after `timeout_s`."""
        poll = select.poll()
        for fd in (self._cancel, self._notify):
            if fd is not None:
                poll.register(fd, select.POLLIN)
        seconds = timeout_s if self._notify is not None else min(timeout_s, _LOOK_EVERY_S)
        if self._notify in {fd for fd, _ in poll.poll(max(0.0, seconds * 1000))}:
            os.read(self._notify, 65536)

    def cancel(self) -> None:
        """End the waits of whoever waits, now and from now on; any thread may."""
        with self._lock:
            self._cancelled = True
            if self._cancel is not None:
                os.eventfd_write(self._cancel, 1)


def _watch(directory: Path) -> int | None:
    try:
        fd = inotify.inotify_init1()
    except KernelError:
        return None
    try:
        inotify.inotify_add_watch(fd, directory, _CHANGED)
    except KernelError:
        os.close(fd)
        return None
    return fd
