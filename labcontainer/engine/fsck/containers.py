"""Each container's files, and what its state.json says, held against the Linux kernel."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from labcontainer.engine import record
from labcontainer.engine.fsck.finding import Finding, quarantine
from labcontainer.errors import Conflict, LabError, NotFound, SpecError
from labcontainer.image.snapshot import Snapshots
from labcontainer.image.store import Store
from labcontainer.kernel import cgroup, mount, proc
from labcontainer.oci.bundle import Bundle
from labcontainer.runtime import client, state
from labcontainer.runtime.claim import claim
from labcontainer.runtime.life import Status
from labcontainer.runtime.state import State

_ID = re.compile(r"[a-f0-9]{64}")
_OWN_DIRECTORIES = {"upper": "what it has written", "work": "the overlay's workdir", "rootfs": "its mount point"}
_PIPES = ("stdout", "stderr")


def findings(root: Path) -> Iterator[Finding]:
    """What is wrong with containers/ of the engine root."""
    names: dict[str, str] = {}
    for directory in sorted((root / "containers").glob("*")):
        if not _ID.fullmatch(directory.name) or not directory.is_dir() or directory.is_symlink():
            place = str(directory.relative_to(root))
            if directory.name.startswith(".") and directory.is_dir():
                yield Finding(place, "is a container that is half removed", "the rest is removed", by_opening=True)
            else:
                yield Finding(place, "is no container", "it is put away", partial(quarantine, root, directory))
            continue
        yield from _container(root, directory)
        yield from _same_name(directory, names)
    yield from _mounts(root)


def _container(root: Path, directory: Path) -> Iterator[Finding]:
    who = f"container {directory.name[:12]}"
    try:
        now = state.load(directory)
    except NotFound:
        yield Finding(who, "has no state: its engine was killed while it was made", "it is removed", by_opening=True)
        return
    except SpecError:
        now = None
        remedy = "what the Linux kernel knows is written anew"
        yield Finding(who, "its state.json is damaged", remedy, by_opening=True)
    yield from _documents(root, directory, who, now)
    yield from _directories(directory, who)
    yield from _lowerdirs(root, directory, who)
    if now is not None:
        yield from _life(directory, who, now)


def _documents(root: Path, directory: Path, who: str, now: State | None) -> Iterator[Finding]:
    documents: dict[str, Callable[[Path], object]] = {
        record.RECORD: record.read,
        record.REQUEST: record.read_request,
        "config.json": lambda path: Bundle(path).read(),
    }
    for name, read in documents.items():
        try:
            read(directory)
        except (LabError, OSError):
            problem = f"its {name} is {'damaged' if (directory / name).is_file() else 'missing'}"
            runs = now is not None and now.observed().status not in (Status.STOPPED, Status.CREATED)
            if runs:
                yield Finding(who, problem, "it runs: save what you need of it (lab cp), stop it, and repair again")
            else:
                remedy = "it is put away with all that it has written (upper/); make a new one of its image"
                yield Finding(who, problem, remedy, partial(_put_away, root, directory))
            return  # one is enough to put it away


def _put_away(root: Path, directory: Path) -> None:
    if directory.exists():
        quarantine(root, directory)


def _directories(directory: Path, who: str) -> Iterator[Finding]:
    for name, meaning in _OWN_DIRECTORIES.items():
        path = directory / name
        if not path.is_dir() or path.is_symlink():
            problem = f"its {name} ({meaning}) is missing"
            lost = "; what was in it is lost" if name == "upper" else ""
            make = None if os.path.lexists(path) else partial(path.mkdir, mode=0o755)
            yield Finding(who, problem, f"an empty one is made{lost}", make)


def _lowerdirs(root: Path, directory: Path, who: str) -> Iterator[Finding]:
    try:
        lowerdirs, image_id = record.read_request(directory).lowerdirs, record.read(directory).image_id
    except (LabError, OSError):
        return
    missing = [Path(lowerdir) for lowerdir in lowerdirs if not Path(lowerdir).is_dir()]
    for lowerdir in missing:
        problem = f"its layer {lowerdir.name[:12]} is missing"
        yield Finding(who, problem, "it is unpacked again from its image", partial(_unpack, root, image_id))


def _unpack(root: Path, image_id: str) -> None:
    store = Store(root / "images")
    Snapshots(root / "layers").lowerdirs(store.resolve(image_id), store)


def _life(directory: Path, who: str, now: State) -> Iterator[Finding]:
    if now.boot_id != state.boot_id() and now.status not in (Status.STOPPED, Status.CREATED):
        yield Finding(who, f"is written as {now.status}, but the machine was restarted since", _END, by_opening=True)
    elif now.unattended:
        yield Finding(who, "runs, but its monitor is gone", "another looks after it", by_opening=True)
    elif now.observed().status is Status.STOPPED and now.status is not Status.STOPPED:
        yield Finding(who, f"is written as {now.status}, but its processes are gone", _END, by_opening=True)
    alive = now.init is not None and now.boot_id == state.boot_id() and now.init.alive()
    if now.status is Status.STOPPED and alive and now.init is not None:
        pid = now.init.pid
        yield Finding(
            who, f"is written as stopped, but its PID 1 (process {pid}) lives", f"look at it: ps {pid}; kill {pid}"
        )
    yield from _cgroup(directory, who, now, alive=alive)
    yield from _channels(directory, who, now, alive=alive)


_END = "its end is written down, its cgroup is removed"


def _cgroup(directory: Path, who: str, now: State, *, alive: bool) -> Iterator[Finding]:
    if now.cgroup is None:
        return
    group = cgroup.open(now.cgroup)
    if not any(place.is_dir() for place in group.directories):
        if alive:
            yield Finding(who, "runs, but its cgroup is gone", "no limit holds any more: restart it (lab restart)")
        return
    if alive and now.init is not None and now.init.pid not in group.pids():
        yield Finding(who, "its PID 1 is not in its cgroup", "no limit holds for it: restart it (lab restart)")
    if now.status is Status.STOPPED and not alive:
        pids = group.pids()
        problem = f"has ended, but {len(pids)} processes are left in its cgroup" if pids else "its cgroup is left"
        yield Finding(
            who,
            problem,
            "they are killed, and it is removed" if pids else "it is removed",
            partial(_end, directory, group),
        )


def _end(directory: Path, group: cgroup.Cgroup) -> None:
    """Take the cgroup away, with the claim on the container: in a cgroup of that name it may just be started again."""
    held = claim(directory)
    if held is None:
        raise Conflict("container", directory.name, "is just being started, or somebody looks after it")
    try:
        if state.observe(directory).status is Status.STOPPED:
            group.kill()
            group.remove()
    finally:
        os.close(held)


def _channels(directory: Path, who: str, now: State, *, alive: bool) -> Iterator[Finding]:
    """Its FIFOs, and the socket at which its monitor listens."""
    for name in _PIPES:
        path = directory / name
        if os.path.lexists(path) and not stat.S_ISFIFO(os.lstat(path).st_mode):
            mend = None if alive else partial(quarantine, directory.parents[1], path)
            yield Finding(who, f"its {name} is no FIFO", "it is put away, and made anew at the next start", mend)
    socket = directory / "monitor.sock"
    if not os.path.lexists(socket):
        if alive and now.monitor is not None and now.monitor.alive():
            problem, remedy = "its monitor's socket is gone", "kill its monitor: the next command brings another"
            yield Finding(who, problem, f"{remedy} (kill -9 {now.monitor.pid}; lab ps)")
        return
    try:
        client.attach(directory).close()
    except OSError:
        if not (now.monitor and now.monitor.alive()) and not alive:
            yield Finding(
                who, "has a socket at which nobody listens", "it is removed", partial(socket.unlink, missing_ok=True)
            )


def _same_name(directory: Path, names: dict[str, str]) -> Iterator[Finding]:
    try:
        name = record.read(directory).name
    except (LabError, OSError):
        return
    if name in names:
        problem = f"has the name of container {names[name]}, too: {name}"
        yield Finding(f"container {directory.name[:12]}", problem, f"lab rename {directory.name[:12]} ANOTHER_NAME")
    names.setdefault(name, directory.name[:12])


def _mounts(root: Path) -> Iterator[Finding]:
    """Mounts in our own mount namespace: an overlay is mounted in its container's alone."""
    top = (root / "containers").resolve()
    for each in reversed(proc.mountinfo()):
        if Path(each.target).is_relative_to(top) and Path(each.target) != top:
            problem = f"is mounted here ({each.filesystemtype})"
            remedy = "it is unmounted; no file is lost"
            subject = str(Path(each.target).relative_to(top.parent))
            yield Finding(subject, problem, remedy, partial(mount.umount2, each.target))
