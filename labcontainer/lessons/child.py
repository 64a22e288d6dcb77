"""The notebook's side of ``%%child``: start the process, print what it says, hold on to it.

    >>> box = start("import os; print(os.getpid())", keep="box", output=print)
    >>> namespaces.inode(box.pid, "uts")
    4026531838
    >>> box.end()

A notebook kernel has threads, so it may neither enter nor make every namespace: the experiment happens in `child_main`.
The child's output comes through a pipe and is printed from Python, because what a child writes to the notebook kernel's
own fd 1 is lost.
"""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import hashlib
import json
import linecache
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from labcontainer.errors import HostError
from labcontainer.kernel import proc, trace
from labcontainer.kernel.trace import Event

Output = Callable[[str], object]


class Child:
    """One process in which a cell was run. It lasts until `end` when it was started with ``keep``."""

    def __init__(self, name: str, supervisor: subprocess.Popen[bytes], pid: int) -> None:
        self.name = name
        self.pid = pid
        self.exit_code: int | None = None
        self.refused = False  # the rights asked for are not to be had here: it exists, but has not run the cell
        self.events: tuple[Event, ...] = ()
        self._supervisor = supervisor
        self._started = proc.start_time(pid)

    def __repr__(self) -> str:
        return f"<Child {self.name}: {'alive' if self.alive else 'ended'}>"

    @property
    def alive(self) -> bool:
        """Whether the Linux kernel still has this very process; a zombie is not alive."""
        return self._started is not None and proc.start_time(self.pid) == self._started

    def end(self) -> None:
        """Kill the process and whatever it has started, and wait until all of it is gone."""
        _hang_up(self._supervisor)


def start(
    source: str,
    *,
    output: Output,
    keep: str = "",
    userns: bool = False,
    root: bool = False,
    traced: bool = False,
    given: Mapping[str, Any] | None = None,
) -> Child:
    """Run `source` in a fresh process with one thread, and hand its output to `output` until it is through.

    With `keep` the process stays alive under that name once the code is through; else it has ended, with its
    ``exit_code``, and so has everything that it started. ``events`` are its calls through `labcontainer.kernel` when
    `traced`. `given` becomes global variables: JSON, and `Child` objects, of which ``pid`` arrives.
    With whose rights it runs, `userns` and `root` say: see `rights`.

    Raises: TypeError where something given is not JSON.
    """
    name = _cell_name(source)
    request = {"source": source, "name": name, "keep": bool(keep), "userns": userns, "root": root, "trace": traced}
    with _journal() as journal, _pipe() as (control, childs_control):
        supervisor = _spawn(childs_control, journal.fileno())
        os.close(childs_control)
        try:
            _feed(supervisor, {**request, "given": given or {}})
            child = Child(keep or "child", supervisor, json.loads(_line(control))["pid"])
            said = _pump(supervisor, control, output, keep=bool(keep))
        except BaseException:  # an interrupt, too, must not leave the experiment running
            _hang_up(supervisor)
            raise
        journal.seek(0)
        child.events = trace.merge(trace.read(journal))
    child.refused = said.get("refused", False)
    child.exit_code = said.get("exit") or None
    if not keep:
        child.exit_code = supervisor.wait()
        child.end()
    return child


def _spawn(control: int, journal: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-u", "-m", "labcontainer.lessons.child_main", str(control), str(journal)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(control, journal),
        start_new_session=True,  # an interrupt of the notebook kernel is ours to handle
    )


def _feed(supervisor: subprocess.Popen[bytes], request: Mapping[str, Any]) -> None:
    assert supervisor.stdin is not None
    supervisor.stdin.write(json.dumps(request, default=_child_as_json).encode() + b"\n")
    supervisor.stdin.flush()


def _pump(supervisor: subprocess.Popen[bytes], control: int, output: Output, *, keep: bool) -> dict[str, Any]:
    """Pass output on until the cell is through; what the child has said of its end, empty where it just went."""
    assert supervisor.stdout is not None
    stdout = supervisor.stdout.fileno()
    decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
    said, waiting = b"", [stdout, control]
    # Until both have ended: the end of the output may be seen first, and the child's last word is still to come.
    while waiting:
        through = control not in waiting
        ready, _, _ = select.select(waiting, [], [], 0 if through and keep else None)
        if stdout in ready:
            data = os.read(stdout, 65536)
            if data:
                output(decode(data))
            else:
                waiting.remove(stdout)
        elif control in ready:
            more = os.read(control, 4096)
            said += more
            if not more or (keep and said.endswith(b"\n")):
                waiting.remove(control)
        else:
            break
    return dict(json.loads(said or "{}"))


def _hang_up(supervisor: subprocess.Popen[bytes]) -> None:
    # The end of its stdin is the supervisor's sign to end everything below it.
    for pipe in (supervisor.stdin, supervisor.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    supervisor.wait()


def _line(fd: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(fd, 1)
        if not byte:
            raise HostError("a child process", remedy="make install", reason="it ended before it began")
        line += byte
    return line


@contextlib.contextmanager
def _journal() -> Iterator[BinaryIO]:
    # One file in memory for all processes of the cell; O_APPEND keeps their lines apart.
    with open(os.memfd_create("trace", os.MFD_CLOEXEC), "r+b", buffering=0) as file:
        fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)
        yield file


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)


def _child_as_json(value: object) -> object:
    if isinstance(value, Child):
        return {"child": value.name, "pid": value.pid}
    raise TypeError(f"a child can be given numbers, text, lists, dictionaries and other children, but not {value!r}")


def _cell_name(source: str) -> str:
    name = f"<cell {hashlib.sha256(source.encode()).hexdigest()[:6]}>"
    # A trace shows the line that made a call: here, too, the cell can then be found under its name.
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    return name
