"""What this machine can do, found out by doing it.

    >>> from labcontainer.kernel import probe
    >>> report = probe.run()
    >>> report.finding("namespace-user").status
    <Status.YES: 'yes'>

Nothing is guessed from a version or a distribution's name: each trial makes the system calls that a container would
make, and reports what came back::

    caller (any threads)        python -m …probe (one thread)          a child for each trial
      │ ── run ────────────────►  │ ── fork ─────────────────────────►  │ unshare, mount, write a limit …
      │                           │ ◄─ what happened ────── pipe ─────  │ ends, and with it all that it made
      │ ◄─ Report, JSON ────────  │    the mend, where it did not work

Guessing starts only where something failed: which setting, package or option of this machine would mend it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from labcontainer.errors import HostError
from labcontainer.kernel.probe.report import LESSONS, Finding, Mode, Report, Status

__all__ = ["LESSONS", "Finding", "Mode", "Report", "Status", "run"]

_ANSWER_SECONDS = 60


def run(state: Path | None = None) -> Report:
    """Try everything, in a process of its own; it takes about half a second and leaves nothing behind.

    `state` is where containers would be kept: whether an overlay works depends on the file system there.

    Raises: HostError where not even the trying works. See: man 2 unshare, man 2 mount, man 7 cgroups
    """
    command = [sys.executable, "-I", "-m", "labcontainer.kernel.probe", str(state or tempfile.gettempdir())]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=_ANSWER_SECONDS)
        return Report.from_json(json.loads(done.stdout))
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise HostError("its own examination", reason=last or f"exit code {error.returncode}") from None
    except subprocess.TimeoutExpired:
        raise HostError("its own examination", reason=f"no answer within {_ANSWER_SECONDS} seconds") from None
