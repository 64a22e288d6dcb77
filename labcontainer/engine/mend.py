"""Putting right what a killed process has left: the next start finds the truth from the Linux kernel.

What runs without a monitor gets another one. Once a container's processes are gone, its cgroup is removed, its end is
written down, one that was to be removed is removed, and one whose policy says so is started again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from labcontainer.engine import record
from labcontainer.engine.container import Container
from labcontainer.errors import LabError, NotFound, SpecError, told
from labcontainer.kernel import cgroup
from labcontainer.runtime import client, events, state
from labcontainer.runtime.life import Status
from labcontainer.runtime.remove import bury
from labcontainer.runtime.state import State

if TYPE_CHECKING:
    from labcontainer.engine.engine import Engine


def lock(directory: Path) -> int:
    """A descriptor that holds `directory` for the engine that makes a container in it, until that engine ends.

    Raises: BlockingIOError where another holds it; OSError.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(fd)
        raise
    return fd


def mend(engine: Engine, directory: Path) -> list[str]:
    """Mend one container's directory; returns a sentence for each thing that was mended."""
    try:
        written = state.load(directory)
        now = state.observe(directory)
    except NotFound:
        with engine.locked():
            return _never_began(directory)
    except SpecError as error:
        return _unreadable(directory, error)
    who = f"container {directory.name[:12]}"
    if now.status is Status.CREATED and now.monitor is None:
        with engine.locked():
            return _never_launched(directory, who)
    if now.status is not Status.STOPPED:
        return _adopt(engine, directory, who) if now.unattended else []
    mended = []
    # Observed as stopped, its processes are gone: what is written now is the last that will be.
    if written.status is not Status.STOPPED:
        _write_the_end(directory, written, now)
        mended.append(f"{who}: {now.error}")
    try:
        if record.read(directory).remove:
            attributes = events.attributes(directory)
            bury(directory)
            events.record(engine.root, "destroy", directory.name, attributes)
            mended.append(f"{who}: removed, as --rm had asked")
        elif mended and _policy_wants(directory, now):
            Container(engine, directory).start()
            mended.append(f"{who}: started again, as its restart policy says")
    except LabError:
        pass  # removed by another engine, or its record is damaged: then it stays for its owner to look at
    except OSError as error:
        mended.append(f"{who}: not removed, as --rm had asked: {told(error)}")
    return mended


def _adopt(engine: Engine, directory: Path, who: str) -> list[str]:
    with contextlib.suppress(LabError):  # it has just ended, or another engine was quicker
        request = replace(record.read_request(directory), adopt=True, trace=engine.trace_path())
        engine.zygote.adopt(request).close()
        return [f"{who}: its monitor was killed, and another looks after it now"]
    return []


def _write_the_end(directory: Path, written: State, now: State) -> None:
    _remove_cgroup(written.cgroup or directory.name)
    state.save(directory, replace(now, finished_ns=now.finished_ns or time.time_ns()))
    (directory / "monitor.sock").unlink(missing_ok=True)
    ended = {**events.attributes(directory), "exitCode": str(now.exit_code)}
    events.record(directory.parents[1], "die", directory.name, ended)


def _policy_wants(directory: Path, ended: State) -> bool:
    policy = record.read_request(directory).restart
    return ended.started_ns is not None and policy.wants(ended.exit_code or 0, ended.restarts, halted=ended.halted)


def forget_traces(run: Path, locked: Callable[[], AbstractContextManager[None]]) -> None:
    """Remove the traces that killed engines were recording: the file of a living one is held, as by `lock`."""
    for path in run.glob("trace-*.jsonl"):
        with locked(), contextlib.suppress(OSError), open(path) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _never_began(directory: Path) -> list[str]:
    # A new container is written down under the engine's lock, which is ours now: nobody is at it any more.
    if (directory / state.NAME).exists() or not directory.exists():
        return []
    bury(directory)
    return [f"container {directory.name[:12]}: removed, its engine was killed before it began"]


def _never_launched(directory: Path, who: str) -> list[str]:
    """A container that ``run`` has made is held by it until a monitor has it; one that ``create`` made just waits."""
    try:
        if not record.read(directory).transient:
            return []
        os.close(lock(directory))
        if state.load(directory).monitor is not None:
            return []
        bury(directory)
    except (OSError, LabError):
        return []
    return [f"{who}: removed, its engine was killed before it began"]


def _unreadable(directory: Path, error: SpecError) -> list[str]:
    with contextlib.suppress(OSError):
        client.attach(directory).close()
        return []  # its monitor lives, and will write the state anew
    _remove_cgroup(directory.name)
    now = State(directory.name, Status.STOPPED, state.boot_id(), exit_code=255, error=str(error))
    state.save(directory, now)
    return [f"container {directory.name[:12]}: {error}"]


def _remove_cgroup(name: str) -> None:
    with contextlib.suppress(LabError):
        left = cgroup.open(name)
        left.kill()
        left.remove()
