"""``docker top``: the processes of a container under the columns of ``ps -ef``, or under those that ps is asked for.

Without arguments everything is read from /proc. With arguments the host's own ps runs, as docker has it, and of its
lines those of the container's processes are kept.
"""

from __future__ import annotations

import functools
import pwd
import re
import shutil
import subprocess
import time
from collections.abc import Collection
from typing import Any

from labcontainer.errors import HostError, NotFound, StateError, UsageError
from labcontainer.kernel import cgroup, file
from labcontainer.runtime import processes
from labcontainer.runtime.processes import TICKS_PER_S, Process
from labcontainer.runtime.state import State

_TITLES = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
_NAME_COLUMNS = 8
# A column that only calls itself PID would let a line through that is not the container's (moby: daemon/top_unix.go).
_FALSE_PID = re.compile(r"\s*(\S*)=\s*(PID\S*)", re.IGNORECASE)


def top(now: State, ps_args: str | None = None) -> dict[str, Any]:
    """The processes of the container that is `now` so, as docker-py gives them: Titles and Processes.

    Raises: StateError where none runs; UsageError; HostError (arguments are given, and there is no ps).
    """
    init = now.init
    if init is None or not init.alive():
        raise StateError(now.id, now.status, "list the processes of")
    wanted = _pids(now, init.pid)
    if ps_args:
        return _by_ps(ps_args.split(), {str(pid) for pid in wanted})
    booted_s = time.time() - float(file.read("/proc/uptime").split()[0])
    rows = [_row(each, booted_s) for each in processes.read(wanted)]
    return {"Titles": list(_TITLES), "Processes": rows}


def printable(text: str) -> str:
    """`text` with a ``?`` for each character that a terminal would act upon: a container names its processes."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _pids(now: State, init: int) -> tuple[int, ...]:
    try:
        return cgroup.open(now.cgroup).pids() if now.cgroup else processes.pids(init)
    except (OSError, NotFound):
        return processes.pids(init)


def _row(each: Process, booted_s: float) -> list[str]:
    started_s = booted_s + each.start_time / TICKS_PER_S
    cpu_s = each.cpu_ticks // TICKS_PER_S
    hours, rest = divmod(cpu_s, 3600)
    command = " ".join(each.arguments) or f"[{each.name}]"
    return [
        _user(each.uid),
        str(each.pid),
        str(each.parent_pid),
        str(int(cpu_s * 100 / max(time.time() - started_s, 1))),
        _started(started_s),
        each.terminal,
        f"{hours:02}:{rest // 60:02}:{rest % 60:02}",
        printable(command),
    ]


@functools.cache
def _user(uid: int) -> str:
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
    return name if len(name) <= _NAME_COLUMNS else f"{name[: _NAME_COLUMNS - 1]}+"


def _started(seconds: float) -> str:
    then, today = time.localtime(seconds), time.localtime()
    if then.tm_year != today.tm_year:
        return str(then.tm_year)
    return time.strftime("%H:%M" if then.tm_yday == today.tm_yday else "%b%d", then)


def _by_ps(arguments: list[str], wanted: Collection[str]) -> dict[str, Any]:
    given = " ".join(arguments)
    if false := _FALSE_PID.search(given):
        raise UsageError("ps arguments", given, f"a column that is named {false[2]} would hide the real one")
    ps = shutil.which("ps")
    if ps is None:
        raise HostError("ps", remedy="sudo apt-get install procps", reason="arguments for it were given")
    done = subprocess.run([ps, *arguments], capture_output=True, text=True, errors="replace", check=False)
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        raise UsageError("ps arguments", given, done.stderr.strip().partition("\n")[0] or "ps said nothing")
    titles = lines[0].split()
    if "PID" not in titles:
        raise UsageError("ps arguments", given, "couldn't find PID field in ps output")
    at = titles.index("PID")
    rows = (line.split(None, len(titles) - 1) for line in lines[1:])
    found = [[printable(cell) for cell in row] for row in rows if len(row) > at and row[at] in wanted]
    return {"Titles": titles, "Processes": found}
