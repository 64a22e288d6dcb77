"""What processes that were killed have left outside of containers: cgroups, sockets, locks, traces."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import stat
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from labcontainer.engine.fsck.finding import Finding, quarantine
from labcontainer.errors import HostError
from labcontainer.kernel import cgroup
from labcontainer.runtime import channel

_ID = re.compile(r"[a-f0-9]{64}")
_YOUNG_S = 60.0
_PATIENCE_S = 2.0


def findings(root: Path, run: Path) -> Iterator[Finding]:
    """What is left below `run`, and in the cgroups."""
    yield from _cgroups(root)
    if run.is_dir():
        yield from _sockets(run)
        yield from _traces(run)
        yield from _locks(run)


def _cgroups(root: Path) -> Iterator[Finding]:
    """Empty cgroups named like a container that is not here. One with processes is another engine root's."""
    try:
        bases = cgroup.host().bases()
    except HostError:
        return  # nothing was delegated to us, so nothing of ours is there
    known = {directory.name for directory in (root / "containers").glob("*")}
    left: dict[str, list[Path]] = {}
    for base in set(bases.values()):
        for place in base.glob("*"):
            if _ID.fullmatch(place.name) and place.name not in known and place.is_dir():
                left.setdefault(place.name, []).append(place)
    for name, places in sorted(left.items()):
        young = any(time.time() - place.stat().st_mtime < _YOUNG_S for place in places)
        if not young and not cgroup.open(name).pids():
            yield Finding(
                f"cgroup {name[:12]}",
                "is empty, and there is no such container",
                "it is removed",
                cgroup.open(name).remove,
            )


def _sockets(run: Path) -> Iterator[Finding]:
    for path in sorted(run.glob("zygote-*.sock")):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            yield Finding(path.name, "is no socket", "it is put away", partial(quarantine, run, path))
        elif not _listens(path):
            problem = "is the socket of a zygote that was killed"
            yield Finding(path.name, problem, "it is removed", partial(path.unlink, missing_ok=True))


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe, channel.short(path) as address:
        return probe.connect_ex(address) == 0


def _traces(run: Path) -> Iterator[Finding]:
    for path in sorted(run.glob("trace-*.jsonl")):
        if not _locked(path):
            yield Finding(path.name, "is a trace of an engine that was killed", "it is removed", by_opening=True)


def _locks(run: Path) -> Iterator[Finding]:
    """Locks are flock(2)'s: they go with their process. What can be wrong is that somebody holds one for ever."""
    for name in ("engine.lock", "zygote.lock"):
        path = run / name
        if not os.path.lexists(path):
            continue
        if not stat.S_ISREG(path.lstat().st_mode):
            yield Finding(name, "is no file", "it is put away", partial(quarantine, run, path))
            continue
        deadline = time.monotonic() + _PATIENCE_S
        while _locked(path) and time.monotonic() < deadline:
            time.sleep(0.05)
        if _locked(path):
            pids = ", ".join(map(str, _holders(path))) or "unknown"
            yield Finding(
                name, f"is held by process {pids}: every other command waits for it", f"look at it: ps {pids}"
            )


def _locked(path: Path) -> bool:
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _holders(path: Path) -> list[int]:
    """Who holds a lock on the file, as /proc/locks says: ``1: FLOCK  ADVISORY  WRITE 4711 08:01:12345 0 EOF``."""
    inode = str(path.stat().st_ino)
    lines = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return [int(line[4]) for line in lines if len(line) > 5 and line[5].rpartition(":")[2] == inode]
