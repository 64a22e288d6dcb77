"""An auditor for `chaos` and `many`: what there is of an engine, read from /proc, /sys and the directories alone.

Nothing here asks the engine. A process's role is told by its parent, its name, its namespaces and the locks it holds;
what is left of a container that should be gone is looked for in every place in which a container is.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CGROUPS = Path("/sys/fs/cgroup")
# How many times longer everything takes here than on a machine of today.
SLOW = float(os.environ.get("LAB_SLOW", "1"))
_PATIENCE_S = 10.0 * SLOW


@dataclass(frozen=True, slots=True)
class Found:
    """A process below us: its role, and the id of the container that it belongs to, where that is known."""

    pid: int
    parent: int
    role: str
    container: str = ""


def processes(containers: Path) -> dict[int, Found]:
    """All that lives below this process, which must be the subreaper of all that it starts."""
    found: dict[int, Found] = {}
    inits = dict(_inits(containers))
    waiting = [(pid, os.getpid()) for pid in _children(os.getpid())]
    while waiting:
        pid, parent = waiting.pop()
        with contextlib.suppress(OSError, IndexError, ValueError):
            if _state(pid) == "Z":
                continue
            role, container = _role(pid, found.get(parent), inits)
            found[pid] = Found(pid, parent, role, container)
        waiting += [(child, pid) for child in _children(pid)]
    return found


def _inits(containers: Path) -> Iterator[tuple[int, str]]:
    # The init of a monitor that was killed is nobody's child: which container it is only its state tells.
    for directory in containers.iterdir():
        with contextlib.suppress(OSError, ValueError):
            init = json.loads((directory / "state.json").read_text())["init"]
            if alive(init):
                yield init["pid"], directory.name


def _role(pid: int, parent: Found | None, inits: dict[int, str]) -> tuple[str, str]:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    inside = status.get("NSpid", "").split()
    owner = parent.container if parent else ""
    if len(inside) > 1:
        return ("init" if inside[-1] == "1" else "command"), inits.get(pid, owner)
    words = Path(f"/proc/{pid}/cmdline").read_bytes()
    if b"labcontainer.runtime.visitor" in words:
        return "visitor", ""
    if status["Name"].strip() == "lab-monitor":
        if parent and parent.role in ("monitor", "session"):
            return "checker", owner
        held = [target for target in _targets(pid) if target.endswith("/lock") and "/containers/" in target]
        return ("monitor", held[0].split("/")[-2]) if held else ("session", "")
    return ("zygote" if b"zygote.main" in words else "client"), ""


def reap(known: set[int]) -> None:
    """Take in orphans that have ended; `known` are children for which somebody waits."""
    for pid in _children(os.getpid()):
        if pid not in known:
            with contextlib.suppress(OSError):
                os.waitpid(pid, os.WNOHANG)


def start_time(pid: int) -> int | None:
    """When `pid` was started; None where it is gone or dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def alive(process: dict[str, int] | None) -> bool:
    """Whether a process that state.json names by pid and start time lives."""
    return process is not None and start_time(process["pid"]) == process["start_time"]


def status(directory: Path) -> str:
    """``absent``, or how the container in `directory` stands: what is written, held against what lives."""
    try:
        now: dict[str, Any] = json.loads((directory / "state.json").read_text())
    except FileNotFoundError:
        return "half made" if directory.exists() else "absent"
    except ValueError:
        return "unreadable"
    init, monitor = alive(now["init"]), alive(now["monitor"])
    match now["status"], init, monitor:
        case "running", True, True:
            return "paused" if _frozen(now["freezer"]) else "running"
        case "created", False, False:
            return "created"
        case "restarting", False, True:
            return "restarting"
        case "stopped", False, False if now["exit_code"] is not None:
            return "exited"
    return f"{now['status']}, init {'lives' if init else 'is gone'}, monitor {'lives' if monitor else 'is gone'}"


def _frozen(freezer: str) -> bool:
    with contextlib.suppress(OSError):
        text = Path(freezer).read_text()
        return text.strip() == "FROZEN" or "frozen 1" in text.splitlines()
    return False


def find(containers: Path, name: str) -> Path:
    """The directory of the container called `name`; one that does not exist where there is none."""
    for directory in containers.iterdir():
        with contextlib.suppress(OSError, ValueError):
            if json.loads((directory / "container.json").read_text())["name"] == name:
                return directory
    return containers / "absent"


@dataclass(slots=True)
class Auditor:
    """Knows what may stay: the containers `kept`, by id, and who we have started ourselves."""

    root: Path
    run: Path
    kept: set[str]
    base: str  # the name of the cgroup below which all containers are

    def leaks(self, known: set[int]) -> list[str]:
        """What is left of containers that should be gone, once patience has run out; a line each."""
        return settled(lambda: self._look(known))

    def _look(self, known: set[int]) -> list[str]:
        reap(known)
        return [*self._processes(known), *self._cgroups(), *self._mounts(), *self._directories(), *self._locks()]

    def _processes(self, known: set[int]) -> Iterator[str]:
        zygotes = 0
        for found in processes(self.root / "containers").values():
            zygotes += found.role == "zygote"
            if found.role == "zygote" or found.container in self.kept or found.pid in known:
                continue
            yield f"process: {found.role} {found.pid}"
        if zygotes > 1:
            yield f"process: {zygotes} zygotes"

    def _cgroups(self) -> Iterator[str]:
        for base in [*CGROUPS.glob(self.base), *CGROUPS.glob(f"*/{self.base}")]:
            for directory in base.iterdir():
                if directory.is_dir() and directory.name not in self.kept and os.access(directory, os.W_OK):
                    yield f"cgroup: {directory}"

    def _mounts(self) -> Iterator[str]:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        yield from (f"mount: {line}" for line in lines if str(self.root) in line or str(self.run) in line)

    def _directories(self) -> Iterator[str]:
        for directory in (self.root / "containers").iterdir():
            if directory.name not in self.kept:
                yield f"directory: {directory.name}"
            elif directory.is_dir():
                yield from (f"file: {path}" for path in directory.iterdir() if path.name.startswith("."))
        for place in (self.root, self.root / "images", self.root / "layers", self.root / "cache"):
            if place.is_dir():
                yield from (f"file: {path}" for path in place.iterdir() if path.name.startswith("."))
        usual = {"engine.lock", "zygote.lock", "zygote.log"}
        sockets = sorted(path.name for path in self.run.iterdir() if path.name not in usual)
        if len(sockets) > 1 or any(not name.startswith("zygote-") for name in sockets):
            yield f"run directory: {sockets}"

    def _locks(self) -> Iterator[str]:
        for path in (self.run / "engine.lock", self.run / "zygote.lock"):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield f"lock: {path.name} is held"
            finally:
                os.close(fd)


def settled(look: Callable[[], list[str]]) -> list[str]:
    """What `look` finds and goes on finding: what is just going is waited for."""
    deadline = time.monotonic() + _PATIENCE_S
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def descriptors(pid: int) -> int:
    """How many descriptors `pid` holds; 0 where it is gone."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def _targets(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                yield os.readlink(f"/proc/{pid}/fd/{number}")


def _children(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            found += [int(word) for word in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    return found


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
