"""A thread that takes one sample after the other, until it is told to stop or there is nothing more to take."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Sampler:
    """Calls `take` every `interval_s` seconds while it answers True. It holds on to nothing but `take`."""

    def __init__(self, take: Callable[[], bool], interval_s: float) -> None:
        self._take = take
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether samples are being taken."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin, or begin again; of one that runs nothing is asked."""
        if self.running:
            return
        self._stop.clear()
        # A daemon: a notebook kernel that goes down waits for nobody's samples.
        self._thread = threading.Thread(target=self._run, name="lab-sampler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop, and return when the last sample has been taken. Stopping twice is fine."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set() and self._take():
            self._stop.wait(self._interval_s)
