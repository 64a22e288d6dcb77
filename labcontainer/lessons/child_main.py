"""The program behind ``%%child``: a cell's code in a process of its own, which has one thread.

    notebook (threads)            supervisor (one thread)               student (one thread)
      │ ── request ── stdin ───────►  │ becomes a subreaper               │
      │                               │ ── fork ────────────────────────► │ the rights that were asked for
      │ ◄──────────── stdout ─────────┼────────────────────────────────── │ runs the cell
      │ ◄─ pid, exit ─ control ───────┼────────────────────────────────── │ with "keep": waits
      │ ── end of stdin ───────────►  │ kills everything below itself     ┘

Whatever the cell has started ends with it, even when the notebook is killed: a dead process closes its pipes. Run as
``python -I -u -m labcontainer.lessons.child_main CONTROL_FD TRACE_FD`` by `child`; -u, because a fork would copy what
is buffered, and _exit would throw it away.
"""

from __future__ import annotations

import contextlib
import json
import linecache
import os
import select
import signal
import sys
import traceback
from types import SimpleNamespace
from typing import Any, NoReturn

from labcontainer.errors import LabError
from labcontainer.kernel import proc, process, trace
from labcontainer.kernel.trace import Role
from labcontainer.lessons import rights


def main() -> NoReturn:
    """Run one request from stdin, and end with the exit code of the cell."""
    control, journal = int(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(control, False)
    os.set_inheritable(journal, False)
    request = json.loads(_first_line())
    process.become_subreaper()
    wakeups, wake = os.pipe()
    os.set_blocking(wake, False)
    pid = process.fork()
    if pid == 0:
        os.close(wakeups)
        os.close(wake)
        _be_the_student(request, control, journal)
    os.close(control)  # only the student holds it from here on, so its end is news, too
    # Here runs the supervisor: the student's parent, and the foster parent of whatever the student orphans.
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    os._exit(_supervise(pid, wakeups))


def _first_line() -> bytes:
    # Byte by byte: the rest of stdin stays in the pipe, whose end is the sign to stop.
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            os._exit(0)
        line += byte
    return bytes(line)


def _supervise(student: int, wakeups: int) -> int:
    code = None
    while code is None:
        code = _reap(student)
        if code is None and 0 in select.select([0, wakeups], [], [])[0]:
            code = 128 + signal.SIGKILL
        with contextlib.suppress(BlockingIOError):
            os.set_blocking(wakeups, False)
            os.read(wakeups, 4096)
    while below := _descendants(os.getpid()):
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)
    return code


def _reap(student: int) -> int | None:
    """Wait for what has ended already; the student's exit code if it was among them."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)) is not None:
            if ended.si_pid == student:
                return process.exit_code(ended)
    return None


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        with contextlib.suppress(OSError):
            below = set(proc.children(waiting.pop())) - found
            found |= below
            waiting += below
    return found


def _be_the_student(request: dict[str, Any], control: int, journal: int) -> NoReturn:
    # Here runs the student's code: a child with one thread, with the privilege of the notebook's user.
    me = os.getpid()
    os.write(control, json.dumps({"pid": me}).encode() + b"\n")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stderr = sys.stdout
    mine = [control]
    os.register_at_fork(after_in_child=lambda: _forked(mine))
    refused = not _has_rights(request)
    code = 0 if refused else _attempt(request, journal)
    # A fork of the student comes to the end of the cell, too: it has nothing to report, but stays where all are kept.
    if os.getpid() == me:
        os.write(control, json.dumps({"exit": code, "refused": refused}).encode() + b"\n")
    if code or not request["keep"]:
        os._exit(code)
    while True:
        signal.pause()


def _forked(mine: list[int]) -> None:
    # Emptied, because a fork of the fork must not close what has got that number since.
    while mine:
        os.close(mine.pop())
    if trace.active():
        trace.become(Role.CHILD)


def _attempt(request: dict[str, Any], journal: int) -> int:
    """Run the cell; what it raises is printed as Python would print it."""
    if request["trace"]:
        trace.to_file(journal)
        trace.become(Role.CHILD)
    name, text = request["name"], request["source"]
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    given = {
        key: SimpleNamespace(pid=value["pid"]) if _is_child(value) else value for key, value in request["given"].items()
    }
    try:
        exec(compile(text, name, "exec"), {"__name__": "__main__", **given})
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException as error:  # noqa: BLE001  whatever it is, the student must read it
        traceback.print_exception(type(error), error, error.__traceback__ and error.__traceback__.tb_next)
        return 1
    finally:
        trace.stop()
    return 0


def _is_child(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"child", "pid"}


def _has_rights(request: dict[str, Any]) -> bool:
    """Get the rights that the cell asks for; if they are not to be had, say why, with the mend."""
    try:
        if request["userns"]:
            rights.enter_user_namespace()
        if request["root"]:
            rights.become_root()
    except LabError as error:
        print(f"This cell cannot run on your machine, and the lesson goes on without it: {error}")  # noqa: T201
        return False
    return True


if __name__ == "__main__":
    main()
