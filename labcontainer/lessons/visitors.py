"""Knocking at a daemon's door as other users: how a judge finds out whom a daemon serves.

    >>> visit(guard.pid, lab.directory / "guard.sock", [Visit(61001), Visit(0)])
    ['HTTP/1.0 200 OK\\n\\nwelcome\\n', 'HTTP/1.0 403 Forbidden\\n\\n…']

The visitors come from the user namespace of the daemon's process, because its users exist only there. Run as
``python -I -m labcontainer.lessons.visitors PID DOOR VISITS``, in a process with one thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labcontainer.errors import HostError
from labcontainer.kernel import namespaces
from labcontainer.lessons import daemon, rights

_ANSWER_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for `path`, by the user `uid` whose group is `gid` (else one of the same number)."""

    uid: int
    gid: int | None = None
    path: str = "/"


def visit(pid: int, door: Path, visits: Sequence[Visit]) -> list[str]:
    """What the daemon behind `door` answers to each of `visits`; the error's text where it does not come to that.

    Needs: to be root, or the owner of the user namespace of process `pid`. Raises: HostError.
    """
    words = [str(pid), door.name, json.dumps([asdict(each) for each in visits])]
    done = subprocess.run(
        [sys.executable, "-I", "-m", "labcontainer.lessons.visitors", *words],
        cwd=door.parent,  # where they begin: on the way there a visitor might not be let through
        capture_output=True,
        text=True,
        timeout=_ANSWER_SECONDS,
        check=False,
    )
    if done.returncode:
        raise HostError("visitors", reason=done.stderr.strip().rpartition("\n")[2])
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> None:
    """Make the visits in argv, and print what came of each: one line of JSON."""
    pid, door, visits = sys.argv[1:]
    if namespaces.inode(pid, "user") != namespaces.inode("self", "user"):
        namespaces.setns(os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC))
    for each in json.loads(visits):
        if os.fork() == 0:
            _knock(door, each)
        os.wait()


def _knock(door: str, each: dict[str, Any]) -> None:
    # One process for each visitor: nobody who has become a user can become another.
    try:
        rights.become(each["uid"], gid=each["gid"])
        said = daemon.ask(door, each["path"])
    except OSError as error:
        said = str(error)
    print(json.dumps(said), flush=True)  # noqa: T201  the answer
    os._exit(0)


if __name__ == "__main__":
    main()
