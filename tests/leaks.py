"""The leak check: what a test leaves behind on the machine fails it.

Before and after every test a `Snapshot` is taken of mounts, cgroups, namespaces, links, processes and file descriptors,
and what came or went in between is an error that names it. Nothing is allowed for: a fixture that starts something
for longer than a test (a browser) exists before the first snapshot, so its things are in both.

Two kinds of lateness are waited for, because the Linux kernel has them too: a killed process takes a moment to go, and
its cgroup and mounts go with it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from labcontainer.kernel import namespaces, proc
from labcontainer.kernel.cgroup import delegation
from tests import supervisor

CGROUPS = Path("/sys/fs/cgroup")
# How many times longer everything takes here than on a machine of today: `machine_v2` emulates.
SLOW = float(os.environ.get("LAB_SLOW", "1"))
# How long something may take to go away; only a test that leaves something waits at all.
PATIENCE_S = 3.0 * SLOW


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What there is of each kind, each thing named so that a person can find it."""

    mounts: frozenset[str]
    cgroups: frozenset[str]
    namespaces: frozenset[str]
    links: frozenset[str]
    processes: frozenset[str]
    descriptors: frozenset[str]

    def difference(self, after: Snapshot) -> list[str]:
        """One line for each thing that came or went between this snapshot and `after`."""
        lines = []
        for kind in (field.name for field in fields(self)):
            was, now = getattr(self, kind), getattr(after, kind)
            lines += [f"{kind}: left behind: {thing}" for thing in sorted(now - was)]
            # A daemon of a longer fixture may end by itself; what a test takes away from the machine may not.
            if kind in ("mounts", "links"):
                lines += [f"{kind}: taken away: {thing}" for thing in sorted(was - now)]
        return lines


def snapshot(root: int, foreign: frozenset[int] = frozenset()) -> Snapshot:
    """What there is now below the process `root`, without the trees of processes that begin at `foreign`."""
    not_ours = foreign.union(*map(supervisor.descendants, foreign))
    pids = supervisor.descendants(root) - not_ours
    return Snapshot(
        mounts=frozenset(f"{mount.filesystemtype} on {mount.target} (id {mount.id})" for mount in proc.mountinfo()),
        cgroups=frozenset(_cgroups(pids)),
        namespaces=frozenset(_namespaces(pids)),
        links=frozenset(os.listdir("/sys/class/net")),
        processes=frozenset(filter(None, map(_process, pids))),
        descriptors=frozenset(_descriptors()),
    )


@pytest.fixture(scope="session")
def foreign_processes() -> set[int]:
    """Pids to which a longer fixture adds its program (the browser): what these start and end is no leak of ours."""
    return set()


@pytest.fixture(autouse=True)
def no_leaks(supervisor_pid: int, foreign_processes: set[int]) -> Iterator[None]:
    before = snapshot(supervisor_pid, frozenset(foreign_processes))
    yield
    left = settled(before, lambda: snapshot(supervisor_pid, frozenset(foreign_processes)))
    if left:
        pytest.fail("the test changed the machine:\n  " + "\n  ".join(left), pytrace=False)


def settled(before: Snapshot, take: Callable[[], Snapshot]) -> list[str]:
    """What differs from `before` and stays so until patience has run out."""
    left = before.difference(take())
    if not left:
        return left
    gc.collect()  # a descriptor held by a cycle of objects is not leaked
    deadline = time.monotonic() + PATIENCE_S
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        # What comes only now is somebody else's: another engine on this machine makes and removes cgroups too.
        still = set(before.difference(take()))
        left = [line for line in left if line in still]
    return left


def _process(pid: int) -> str | None:
    started = proc.start_time(pid)
    if started is None:
        return None  # it is gone, or dead and about to be reaped
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return f"pid {pid} (started at tick {started}): {words.strip() or '[no command line]'}"[:200]
    return None


def _cgroups(pids: set[int]) -> Iterator[str]:
    # Every cgroup of a run lies below a base of its own name (see `supervisor`), in whichever hierarchy; in version 1
    # an ordinary user's below labcontainer-UID. The base itself stays, like the directory of an engine. A cgroup in
    # which only processes run that this run did not start is somebody else's: all engines of a user share a base.
    bases = {os.environ.get(delegation.VARIABLE, delegation.NAME), f"{delegation.NAME}-{os.geteuid()}"}
    for directory, _, _ in os.walk(CGROUPS):
        path = Path(directory)
        if any(parent.name in bases for parent in path.parents):
            with contextlib.suppress(OSError):
                inside = set(map(int, (path / "cgroup.procs").read_text().split()))
                if path.stat().st_uid == os.geteuid() and (not inside or inside & pids):
                    yield directory


def _namespaces(pids: set[int]) -> Iterator[str]:
    # A namespace lives by a process in it, by an open descriptor, or by a bind mount of its file: look at all three.
    for pid in pids:
        with contextlib.suppress(OSError):
            yield from (f"{name}:[{inode}]" for name, inode in namespaces.inodes(pid).items())
    yield from (mount.root for mount in proc.mountinfo() if mount.filesystemtype == "nsfs")
    yield from (
        target for target in _descriptor_targets().values() if target.partition(":[")[0] in namespaces.NAMESPACES
    )


def _descriptors() -> Iterator[str]:
    yield from (f"{number} -> {target}" for number, target in _descriptor_targets().items())


def _descriptor_targets() -> dict[str, str]:
    targets = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the descriptor of this very listing
            targets[number] = os.readlink(f"/proc/self/fd/{number}")
    return targets
