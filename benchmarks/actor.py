"""A child that does one thing for `chaos` and ends: the client that is killed, or that must come to an end in time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, NoReturn

import audit

from labcontainer.errors import InitError, LabError

LIMIT_S = 30 * audit.SLOW


class Wedged(Exception):
    """Somebody has not come to an end in time."""


class Actor:
    """A child that does one thing and ends; what it prints and its answer are kept."""

    known: ClassVar[set[int]] = set()

    def __init__(self, work: Callable[[], object], out: Path) -> None:
        self.out = out
        self._answer, writing = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            # Here runs the client: a process with everything imported, so that no moment is spent on that.
            self._work(work, writing)
        self.known.add(self.pid)
        os.close(writing)

    def _work(self, work: Callable[[], object], writing: int) -> NoReturn:
        code = 1
        try:
            os.setsid()
            with open(self.out, "wb") as file, open(os.devnull, "rb") as null:
                for source, target in ((null, 0), (file, 1), (file, 2)):
                    os.dup2(source.fileno(), target)
            answer = work()
            code = answer if isinstance(answer, int) else 0
            os.write(writing, json.dumps(answer).encode())
        except (LabError, OSError, SystemExit) as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            code = error.exit_code if isinstance(error, InitError) else 1
        except BaseException:  # noqa: BLE001  told to the driver, which counts it as a fault
            traceback.print_exc()
            code = 99
        finally:
            sys.stdout.flush()
            os._exit(code)

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        audit.reap(self.known)
        return audit.start_time(self.pid) is None

    def end(self) -> tuple[int, object]:
        """Wait for it: exit status and answer. Raises: Wedged."""
        deadline = time.monotonic() + LIMIT_S
        try:
            while not self.done:
                if time.monotonic() > deadline:
                    raise Wedged(f"{_where(self.pid)}: {self.out.read_text(errors='replace')[-300:]}")
                time.sleep(0.001)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            self.known.discard(self.pid)
            with open(self._answer, "rb") as file:
                said = file.read()
        return code, json.loads(said) if said else None


def _where(pid: int) -> str:
    with contextlib.suppress(OSError):
        return f"waits in {Path(f'/proc/{pid}/wchan').read_text()}"
    return "it waits"
