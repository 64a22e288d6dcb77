"""User namespaces: root inside, somebody ordinary outside.

A map says which ids inside stand for which ids outside. An unprivileged process may map only its own id; ranges come
from
``/etc/subuid`` through the set-user-id programs newuidmap and newgidmap. Lesson 10 teaches it.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labcontainer.errors import HostError
from labcontainer.kernel import file, trace
from labcontainer.kernel.proc import IdRange

SUBUID = Path("/etc/subuid")
SUBGID = Path("/etc/subgid")


@dataclass(frozen=True, slots=True)
class IdMaps:
    """The uid and gid map of one user namespace, as its creator writes them."""

    uids: tuple[IdRange, ...]
    gids: tuple[IdRange, ...]

    @property
    def single(self) -> bool:
        """Whether only one id is mapped each, which needs no helper program."""
        return len(self.uids) == len(self.gids) == 1 and self.uids[0].length == self.gids[0].length == 1


def own_maps(*, ranges: bool = True) -> IdMaps:
    """Root inside is the caller outside; with `ranges` the ids from 1 on are the caller's subordinate ids, if any.

    See: man 7 user_namespaces, man 5 subuid
    """
    uid, gid = os.geteuid(), os.getegid()
    uids, gids = [IdRange(0, uid, 1)], [IdRange(0, gid, 1)]
    if ranges and has_map_programs():
        more_uids, more_gids = subordinate_ids(SUBUID, uid), subordinate_ids(SUBGID, uid)
        if more_uids and more_gids:
            uids += _stacked(more_uids)
            gids += _stacked(more_gids)
    return IdMaps(tuple(uids), tuple(gids))


def has_map_programs() -> bool:
    """Whether newuidmap and newgidmap are on PATH.

    See: man 1 newuidmap
    """
    return all(
        any(os.access(os.path.join(directory, program), os.X_OK) for directory in os.get_exec_path())
        for program in ("newuidmap", "newgidmap")
    )


def subordinate_ids(path: Path, uid: int) -> tuple[tuple[int, int], ...]:
    """The (first, count) ranges that `path` grants to user `uid`, by name or by number.

    See: man 5 subuid
    """
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return ()
    owners = {str(uid), _user_name(uid)}
    rows = (line.split(":") for line in lines)
    return tuple((int(row[1]), int(row[2])) for row in rows if len(row) == 3 and row[0] in owners)


def write_maps(pid: int, maps: IdMaps) -> None:
    """Write the maps of process `pid`'s user namespace, as its parent, exactly once.

    With CAP_SETUID in our own namespace, or for a single id, that is a write to ``/proc/PID/uid_map``; ranges of an
    ordinary user go through newuidmap. Without privilege setgroups(2) is denied first, or a process could drop a
    group that exists to keep it out.

    Raises: KernelError; HostError where newuidmap fails. See: man 7 user_namespaces
    """
    if os.geteuid() == 0 or maps.single:
        if os.geteuid() != 0:
            file.write(f"/proc/{pid}/setgroups", "deny")
        file.write(f"/proc/{pid}/gid_map", _lines(maps.gids))
        file.write(f"/proc/{pid}/uid_map", _lines(maps.uids))
        return
    _run_map_program("newgidmap", pid, maps.gids)
    _run_map_program("newuidmap", pid, maps.uids)


def _run_map_program(program: str, pid: int, ranges: Sequence[IdRange]) -> None:
    import subprocess

    command = [program, str(pid), *_lines(ranges).split()]
    started_ns = trace.clock()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # A program and no system call: but it writes the map, by a privilege that we lack.
    trace.emit(program, {"pid": pid, "map": _lines(ranges)}, done.returncode, 0, started_ns, depth=1)
    if done.returncode:
        raise HostError(
            "a range of user ids",
            remedy=f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {_user_name(os.geteuid())}",
            reason=f"{' '.join(command)}: {done.stderr.strip()}",
        )


def _stacked(ranges: Sequence[tuple[int, int]]) -> list[IdRange]:
    # Inside, the ranges follow each other from 1 on, whatever they are outside.
    stacked, inside = [], 1
    for first, count in ranges:
        stacked.append(IdRange(inside, first, count))
        inside += count
    return stacked


def _lines(ranges: Sequence[IdRange]) -> str:
    return "\n".join(f"{r.inside} {r.outside} {r.length}" for r in ranges)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
