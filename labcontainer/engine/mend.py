"""Putting right what a killed process has left: the next start finds the truth from the Linux kernel.

What runs without a monitor gets another one. Once a container's processes are gone, its cgroup is removed, its end is
written down, one that was to be removed is removed, and one whose policy says so is started again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from labcontainer.engine import record
from labcontainer.engine.container import Container
from labcontainer.engine.holding import holding
from labcontainer.errors import LabError, NotFound, SpecError, told
from labcontainer.kernel import cgroup
from labcontainer.oci.bundle import CONFIG, beside
from labcontainer.runtime import events, state
from labcontainer.runtime.claim import claim
from labcontainer.runtime.life import Status
from labcontainer.runtime.remove import bury, clear_away, put_away
from labcontainer.runtime.state import State

if TYPE_CHECKING:
    from labcontainer.engine.engine import Engine


_TRIALS = 3
_REPLACED = {beside(Path(name)).name: name for name in (record.RECORD, record.REQUEST, CONFIG)}


def mend(engine: Engine, directory: Path) -> list[str]:
    """Mend one container's directory; returns a sentence for each thing that was mended.

    What cannot be mended is said too, and is in the way of nothing else.
    """
    who = f"container {directory.name[:12]}"
    try:
        return _mend(engine, directory, who)
    except NotFound:
        return []  # removed by another engine meanwhile
    except (LabError, OSError) as error:
        return [f"{who}: not mended: {told(error) if isinstance(error, OSError) else error}"]


def _mend(engine: Engine, directory: Path, who: str) -> list[str]:
    try:
        written = state.load(directory)
        # As good as every one is well, and every command looks at all of them.
        now = written if written.attended else state.observe(directory)
    except NotFound:
        with engine.locked():
            return _never_began(directory)
    except SpecError as error:
        return _unreadable(directory, error)
    if left := _half_written(engine, directory):
        return [f"{who}: {left} was half written, and is as it was before", *_mend(engine, directory, who)]
    if now.status is Status.CREATED and now.monitor is None:
        with engine.locked():
            return _never_launched(directory, who)
    if now.status is not Status.STOPPED:
        return _adopt(engine, directory, who) if now.unattended else []
    mended = _end(directory, who) if written.status is not Status.STOPPED else []
    try:
        if record.read(directory).remove:
            return mended + _remove(engine, directory, who)
    except LabError:
        return mended  # its record is damaged: it stays for its owner to look at
    for _ in range(_TRIALS):  # the monitor that we start may be killed like the one before
        if not _is_to_run(directory):
            break
        mended += _start_again(engine, directory, who)
        mended += _end(directory, who)
    return mended


def _half_written(engine: Engine, directory: Path) -> str | None:
    for beside_it, name in _REPLACED.items():
        half = f"{directory}/{beside_it}"
        if os.path.exists(half):
            with engine.locked():  # whoever writes them holds that lock
                if os.path.exists(half):
                    os.unlink(half)
                    return name
    return None


def _adopt(engine: Engine, directory: Path, who: str) -> list[str]:
    with contextlib.suppress(LabError):  # it has just ended, or another engine was quicker
        request = replace(record.read_request(directory), adopt=True, trace=engine.trace_path())
        engine.zygote.adopt(request).close()
        return [f"{who}: its monitor was killed, and another looks after it now"]
    return []


def _end(directory: Path, who: str) -> list[str]:
    """Write down an end that no monitor has, and take the cgroup away.

    The claim is ours meanwhile: in the cgroup of that name another engine may already have started it again.
    """
    with _claimed(directory) as ours:
        written, now = state.load(directory), state.observe(directory)
        if not ours or written.status is Status.STOPPED or now.status is not Status.STOPPED:
            return []
        _remove_cgroup(written.cgroup or directory.name)
        (directory / "monitor.sock").unlink(missing_ok=True)
        again = _policy_wants(directory, now)
        # Until it is started its state says what is to be done: if we are killed, who comes after us does it.
        ended = replace(now, finished_ns=now.finished_ns or time.time_ns(), monitor=None, init=None)
        state.save(directory, replace(ended, status=Status.RESTARTING) if again else ended)
    if written.status is Status.RESTARTING and written.monitor is None:
        return []  # somebody has said so before us
    told_of = {**events.attributes(directory), "exitCode": str(now.exit_code)}
    events.record(directory.parents[1], "die", directory.name, told_of)
    return [f"{who}: {now.error}"]


def _policy_wants(directory: Path, ended: State) -> bool:
    policy = record.read_request(directory).restart
    return ended.started_ns is not None and policy.wants(ended.exit_code or 0, ended.restarts, halted=ended.halted)


def _start_again(engine: Engine, directory: Path, who: str) -> list[str]:
    try:
        Container(engine, directory).start()
    except LabError as error:
        if state.observe(directory).status is not Status.STOPPED:
            return []  # another engine was quicker
        return [f"{who}: not started again, as its restart policy says: {error}"]
    return [f"{who}: started again, as its restart policy says"]


def _is_to_run(directory: Path) -> bool:
    written = state.load(directory)
    return written.status is Status.RESTARTING and written.observed().status is Status.STOPPED


def _remove(engine: Engine, directory: Path, who: str) -> list[str]:
    try:
        held = holding(directory)
    except BlockingIOError:
        return []  # it is just being restarted
    try:
        if state.observe(directory).status is not Status.STOPPED:
            return []
        attributes = events.attributes(directory)
        away = put_away(directory)
    finally:
        os.close(held)  # before what is left is removed: that waits for whoever holds it
    try:
        clear_away(away)
    except OSError as error:
        return [f"{who}: not removed, as --rm had asked: {told(error)}"]
    events.record(engine.root, "destroy", directory.name, attributes)
    return [f"{who}: removed, as --rm had asked"]


def forget_traces(run: Path, locked: Callable[[], AbstractContextManager[None]]) -> None:
    """Remove the traces that killed engines were recording: the file of a living one is held, as by `holding`."""
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
        os.close(holding(directory))
        if state.load(directory).monitor is not None:
            return []
        bury(directory)
    except (OSError, LabError):
        return []
    return [f"{who}: removed, its engine was killed before it began"]


def _unreadable(directory: Path, error: SpecError) -> list[str]:
    with _claimed(directory) as ours:
        if not ours:
            return []  # its monitor lives, and will write the state anew
        _remove_cgroup(directory.name)
        state.save(directory, State(directory.name, Status.STOPPED, state.boot_id(), exit_code=255, error=str(error)))
    return [f"container {directory.name[:12]}: {error}"]


@contextlib.contextmanager
def _claimed(directory: Path) -> Iterator[bool]:
    """Whether the claim on the container is ours inside."""
    held = claim(directory)
    try:
        yield held is not None
    finally:
        if held is not None:
            os.close(held)


def _remove_cgroup(name: str) -> None:
    with contextlib.suppress(LabError):
        left = cgroup.open(name)
        left.kill()
        left.remove()
