"""A container's health check: a command that is run inside again and again (docker's HEALTHCHECK).

    starting ──► healthy ⇄ unhealthy       unhealthy after `retries` failures in a row; in the start period none counts

Each run is a process of its own that joins the container and ends with the check; its result comes back over a pipe.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from labcontainer.errors import LabError
from labcontainer.kernel import process
from labcontainer.oci.bundle import Bundle
from labcontainer.runtime import channel, join
from labcontainer.runtime.clock import Alarm, Clock
from labcontainer.runtime.request import Health
from labcontainer.runtime.state import State, write_atomically

NAME = "health.json"
_KEPT_RESULTS, _KEPT_BYTES = 5, 4096
_LATENESS_S, _LAST_WORD_S = 0.05, 2.0


class HealthCheck:
    """The checks of one container, driven by its monitor's clock; `report` is told the status after each."""

    def __init__(self, wanted: Health, clock: Clock, report: Callable[[str], None]) -> None:
        self._wanted = wanted
        self._clock = clock
        self._report = report
        self._alarm: Alarm | None = None
        self._checker: int | None = None
        self._result = -1
        self._failures = 0
        self._status = ""
        self._results: list[dict[str, object]] = []

    def begin(self, directory: Path, state: State, cache: Path) -> None:
        """The container runs: check it from now on."""
        self._directory, self._state, self._cache = directory, state, cache
        self._began = time.monotonic()
        self._failures, self._results = 0, []
        self._tell("starting")
        self._plan()

    def end(self) -> None:
        """The container has ended, and a check that was going on in it with it: its checker sees that and ends."""
        if self._alarm:
            self._clock.cancel(self._alarm)
        self._alarm = None
        if self._checker is not None:
            select.select([self._result], [], [], _LAST_WORD_S)
            self._collect()

    def _plan(self) -> None:
        starting = self._status == "starting" and time.monotonic() - self._began < self._wanted.start_period_s
        pause = self._wanted.start_interval_s if starting else self._wanted.interval_s
        self._alarm = self._clock.after(pause, self._check)

    def _check(self) -> None:
        self._result, writing = os.pipe2(os.O_CLOEXEC)
        self._checked_at = time.time()
        self._checker = process.fork()
        if self._checker == 0:
            # We are the checker. The monitor's descriptors are ours too: held by us, its claim and its clients would
            # outlive it where it is killed.
            _keep_only(self._result, writing)
            _run(self._wanted, self._directory, self._state, self._cache, writing)
        os.close(writing)
        self._deadline = time.monotonic() + self._wanted.timeout_s + 1
        self._alarm = self._clock.after(_LATENESS_S, self._look)

    def _look(self) -> None:
        # Asked for rather than waited for: the loop must go on, and a result may be a little late.
        if not select.select([self._result], [], [], 0)[0] and time.monotonic() < self._deadline:
            self._alarm = self._clock.after(_LATENESS_S, self._look)
            return
        code, output = self._collect()
        self._judge(code, output)
        self._plan()

    def _collect(self) -> tuple[int, str]:
        assert self._checker is not None
        with contextlib.suppress(ProcessLookupError):
            if not select.select([self._result], [], [], 0)[0]:
                os.kill(self._checker, signal.SIGKILL)
        with os.fdopen(self._result, "rb") as pipe:
            said = pipe.read()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._checker, 0)
        self._checker = None
        try:
            answer = json.loads(said)
            return int(answer["code"]), str(answer["output"])
        except ValueError:
            return -1, "the check ended without a result"

    def _judge(self, code: int, output: str) -> None:
        result = {"Start": self._checked_at, "End": time.time(), "ExitCode": code, "Output": output}
        self._results = [*self._results, result][-_KEPT_RESULTS:]
        in_start_period = time.monotonic() - self._began < self._wanted.start_period_s
        if code == 0:
            self._failures = 0
            self._tell("healthy")
        elif not (self._status == "starting" and in_start_period):
            self._failures += 1
            self._tell("unhealthy" if self._failures >= self._wanted.retries else self._status)
        else:
            self._tell(self._status)

    def _tell(self, status: str) -> None:
        self._status = status
        known = {"Status": status, "FailingStreak": self._failures, "Log": self._results}
        with contextlib.suppress(OSError):
            write_atomically(self._directory / NAME, json.dumps(known))
        self._report(status)


def _keep_only(first: int, last: int) -> None:
    """Close all but the three streams and two descriptors."""
    low, high = sorted((first, last))
    for start, end in ((3, low - 1), (low + 1, high - 1), (high + 1, 0xFFFFFFFF)):
        if start <= end:
            process.close_range(start, end)


def _run(wanted: Health, directory: Path, state: State, cache: Path, result: int) -> NoReturn:
    """Join the container, run the command, and write ``{"code": 0, "output": "…"}``."""
    code, output = -1, ""
    try:
        spec = Bundle(directory).read()
        assert spec.process is not None
        from dataclasses import replace

        config = replace(spec.process, args=wanted.command, terminal=False)
        reading, writing = os.pipe2(os.O_CLOEXEC)
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        joined = join.join(directory, state, config, (null, writing, writing), cache=cache)
        os.close(writing)
        message = channel.receive(joined.channel)
        code, output = _watch(joined, reading, wanted.timeout_s)
        if message is not None:
            code, output = int(message.body["exit_code"]), str(message.body["cause"])
    except (LabError, OSError) as error:
        output = str(error)
    with contextlib.suppress(OSError):
        os.write(result, json.dumps({"code": code, "output": output[:_KEPT_BYTES]}).encode())
    os._exit(0)


def _watch(joined: join.Joined, reading: int, timeout_s: float) -> tuple[int, str]:
    deadline = time.monotonic() + timeout_s
    said = b""
    while time.monotonic() < deadline:
        ready, _, _ = select.select([reading, joined.child.pidfd], [], [], deadline - time.monotonic())
        if reading in ready:
            piece = os.read(reading, _KEPT_BYTES)
            said += piece[: _KEPT_BYTES - len(said)]
            if piece:
                continue
        if joined.child.pidfd in ready:
            return process.wait(joined.child), said.decode(errors="replace")
    with contextlib.suppress(LabError):
        process.pidfd_send_signal(joined.child.pidfd, signal.SIGKILL)
    process.wait(joined.child)
    return -1, f"health check exceeded timeout ({timeout_s:g}s)"
