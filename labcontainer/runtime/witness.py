"""A child in just the namespaces that were asked for, which says what it sees.

    >>> from labcontainer.runtime import witness
    >>> testimony = witness.ask({"pid", "mnt"})
    >>> testimony.inside.pid, len(testimony.inside.processes)
    (1, 1)

    asker (a notebook, many threads)     helper (one thread)                child
      │ ── request ───── stdin ─────────►  │ looks around: the host's view     │
      │                                    │ ── clone3(CLONE_NEW…) ──────────► │ waits
      │                                    │ ── id maps, "go" ───── pipe ────► │ prepares, looks around
      │ ◄─ testimony ─── stdout ────────── │ ◄─ sight ───────────── pipe ───── ┘

The helper exists because a process with threads can neither make nor enter every namespace. What it leaves out: time
offsets, and anything that lasts; the child's namespaces end with the child.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from labcontainer.errors import HostError, KernelError, UsageError
from labcontainer.kernel import ipc, mount, namespaces, process, trace, userns
from labcontainer.kernel.mount import MountFlag
from labcontainer.kernel.namespaces import NAMESPACES, CloneFlag
from labcontainer.kernel.trace import Role
from labcontainer.runtime import fault, sight
from labcontainer.runtime.sight import Sight

HOSTNAME = "isolated"
SCRATCH = "/mnt"
QUEUE = 427

_ANSWER_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Testimony:
    """Both views and how they came about.

    ``made`` are the namespaces that are new; ``added`` those of them that nobody asked for (an ordinary user needs a
    user namespace first). ``outside_pid`` is the child's number on the host, ``calls`` the trace of how it was made.
    """

    host: Sight
    inside: Sight
    outside_pid: int
    made: tuple[str, ...]
    added: tuple[str, ...]
    notes: tuple[str, ...]
    calls: tuple[trace.Event, ...]


def ask(wanted: Iterable[str], *, fresh_proc: bool | None = None) -> Testimony:
    """Make a child in new namespaces of the kinds `wanted` and return what it sees, beside what we see.

    The child changes what is its own to show that it is: a new UTS namespace gets the name ``isolated``, a new IPC
    namespace the message queue 427, a new mount namespace a tmpfs on /mnt. With new PID *and* mount namespaces it
    mounts a new /proc unless `fresh_proc` is False.

    Needs: CAP_SYS_ADMIN or, for an ordinary user, unprivileged user namespaces.
    Raises: UsageError (no such namespace); KernelError; HostError. See: man 7 namespaces
    """
    request = {"namespaces": _checked(wanted, fresh_proc), "fresh_proc": fresh_proc}
    command = [sys.executable, "-I", "-m", "labcontainer.runtime.witness"]
    question = json.dumps(request).encode()
    done = subprocess.run(command, input=question, capture_output=True, timeout=_ANSWER_SECONDS, check=False)
    if not done.stdout:
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2] or f"exit code {done.returncode}"
        raise HostError("a helper process", remedy="make install", reason=reason)
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise fault.from_json(answer["error"])
    return Testimony(
        host=Sight.from_json(answer["host"]),
        inside=Sight.from_json(answer["inside"]),
        outside_pid=answer["outside_pid"],
        made=tuple(answer["made"]),
        added=tuple(answer["added"]),
        notes=tuple(answer["notes"]),
        calls=trace.merge(trace.Event.from_json(line) for line in answer["calls"]),
    )


def main() -> None:
    """Answer one request from stdin on stdout."""
    request = json.load(sys.stdin)
    try:
        answer = _testify(request["namespaces"], request["fresh_proc"])
    except Exception as error:  # noqa: BLE001  whatever it is, the asker must hear of it in words
        answer = {"error": fault.to_json(error)}
    json.dump(answer, sys.stdout)


def _checked(wanted: Iterable[str], fresh_proc: bool | None) -> list[str]:
    names = sorted(set(wanted))
    for name in names:
        if name not in NAMESPACES:
            raise UsageError("namespace", name, f"choose from {', '.join(NAMESPACES)}")
    if fresh_proc and not {"pid", "mnt"} <= set(names):
        raise UsageError("fresh_proc", True, "without new pid and mnt namespaces it would replace the host's /proc")
    return names


def _testify(wanted: Collection[str], fresh_proc: bool | None) -> dict[str, Any]:
    added = ["user"] if wanted and "user" not in wanted and os.geteuid() != 0 else []
    made = [name for name in NAMESPACES if name in {*wanted, *added}]
    journal = _journal()
    trace.to_file(journal)
    ready_read, ready_write = os.pipe()
    sight_read, sight_write = os.pipe()
    with trace.step("clone3", why="one call makes the child and all of its namespaces"):
        child = process.clone3(_flags(made))
    if child is None:
        os.close(ready_write)
        _be_the_child(made, fresh_proc, ready_read, sight_write)
    os.close(sight_write)
    # From here on only the child holds the writing end, so its death, too, is an answer.
    if "user" in made:
        with trace.step("id map", why="until somebody outside writes the map, the child is nobody"):
            userns.write_maps(child.pid, userns.own_maps(ranges=False))
    trace.stop()
    host = sight.look()  # while the child waits, so that the host's view has it, too
    os.write(ready_write, b"go")
    with os.fdopen(sight_read) as pipe:
        said = json.loads(pipe.read() or "null")
    code = process.wait(child)
    if said is None:
        raise HostError("a child in these namespaces", reason=f"it ended with exit code {code} before it spoke")
    if "error" in said:
        return dict(said)
    calls = os.pread(journal, os.fstat(journal).st_size, 0).decode().splitlines()
    return {"host": host.to_json(), "outside_pid": child.pid, "made": made, "added": added, "calls": calls, **said}


def _flags(made: Collection[str]) -> CloneFlag:
    flags = CloneFlag(0)
    for name in made:
        flags |= NAMESPACES[name]
    return flags


def _journal() -> int:
    # Helper and child append to one file in memory; O_APPEND keeps their lines apart.
    fd = os.memfd_create("trace", os.MFD_CLOEXEC)
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
    return fd


def _be_the_child(made: Collection[str], fresh_proc: bool | None, ready: int, out: int) -> NoReturn:
    # Who we are: the helper's child inside the new namespaces; without an id map yet where the user namespace is new.
    try:
        trace.become(Role.CHILD)
        process.prctl(process.Prctl.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.read(ready, 2) != b"go":
            os._exit(1)  # the helper gave up, and says why
        notes = _prepare(made, fresh_proc)
        trace.stop()
        answer: dict[str, Any] = {"inside": sight.look().to_json(), "notes": notes}
    except Exception as error:  # noqa: BLE001  whatever it is, the asker must hear of it in words
        answer = {"error": fault.to_json(error)}
    with os.fdopen(out, "w") as pipe:
        json.dump(answer, pipe)
    os._exit(0)


def _prepare(made: Collection[str], fresh_proc: bool | None) -> list[str]:
    """Change what is ours alone, so that the difference can be seen; what the machine refuses becomes a note."""
    notes: list[str] = []
    if "uts" in made:
        with trace.step("host name", why="a name set in here must not change the host's"):
            namespaces.sethostname(HOSTNAME)
    if "ipc" in made:
        with trace.step("queue", why="known by a number, which in here means nothing of the host's"):
            ipc.msgget(QUEUE, ipc.IpcFlag.IPC_CREAT | ipc.IpcFlag.S_IRUSR)
    if "mnt" in made:
        with trace.step("mounts", why="private first: what is mounted in here must not reach the host"):
            mount.set_propagation("/", MountFlag.MS_REC | MountFlag.MS_PRIVATE)
        notes += _try_mount("tmpfs", SCRATCH, "an empty file system that only the child has")
    if {"pid", "mnt"} <= set(made) and fresh_proc is not False:
        notes += _try_mount("proc", "/proc", "a /proc shows the PID namespace in which it was mounted")
    return notes


def _try_mount(filesystemtype: str, target: str, why: str) -> list[str]:
    flags = MountFlag.MS_NOSUID | MountFlag.MS_NODEV | MountFlag.MS_NOEXEC
    try:
        with trace.step("mounts", why=why):
            mount.mount(filesystemtype, target, filesystemtype, flags)
    except KernelError as error:
        return [fault.sentence(error)]
    return []


if __name__ == "__main__":
    main()
