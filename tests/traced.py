"""The program that ``test_glass_box`` runs under strace: containers, each recorded by the engine's own trace.

    python -m tests.traced HOME       prints {name of the container: {"error": …, "events": […]}}

Where a recording begins and ends shows in strace's log as a look at a path that is not there, ``/begin NAME``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from labcontainer.engine import Engine
from labcontainer.errors import HostError, LabError
from labcontainer.kernel import capabilities, cgroup, mount, namespaces, process, trace, userns
from labcontainer.kernel.file import OpenFlag
from labcontainer.kernel.mount import MountFlag
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.kernel.overlay import Overlay

# Open here and nowhere else: inside an init the same path leads to nothing.
ONLY_HERE = 200


def containers(home: Path) -> dict[str, dict[str, Any]]:
    """What is run: between them, each call that an init knows."""
    files = home / "files"
    files.mkdir()
    (files / "one").touch()
    script = home / "script"
    script.write_text("no #! line, and nothing for this machine")
    script.chmod(0o755)
    os.dup2(os.open("/dev/null", os.O_RDONLY), ONLY_HERE)
    return {
        "ordinary": {
            "command": ["sh", "-c", "echo hi"], "hostname": "glass", "cap_drop": ["NET_RAW"], "cap_add": ["SYS_TIME"],
            "volumes": {str(files): {"bind": "/v", "mode": "ro"}}, **limits(),
        },
        "terminal": {"command": "id", "tty": True, "user": "1234:5", "working_dir": "/srv/not/there"},
        "bound": {
            "command": "true", "no_new_privileges": True, "read_only": True, "network_mode": "host",
            "volumes": {str(files / "one"): {"bind": "/etc/one", "mode": "rw"}},
        },
        "privileged": {"command": "true", "privileged": True, "entrypoint": ["sh", "-c"], "stdin_open": True},
        "reaped": {"command": ["sh", "-c", "sleep 0 & wait"], "init": True, "tty": True},
        "missing source": {"command": "true", "volumes": {f"/proc/self/fd/{ONLY_HERE}": {"bind": "/v"}}},
        "missing command": {"command": "no-such-command"},
        "no program": {"command": "/run/me", "volumes": {str(script): {"bind": "/run/me"}}},
        "no directory": {"command": "true", "working_dir": "/etc/passwd"},
    }  # fmt: skip


def main() -> None:
    """Run them all, one after the other."""
    home = Path(sys.argv[1])
    told = {}
    with Engine(home / "root", home / "run") as engine:
        # The zygote is started, and what is read once is read, before anything is compared.
        engine.containers.run("lab/base", "true", remove=True)
        for name, settings in containers(home).items():
            told[name] = recorded(engine, name, partial(run, engine, settings))
        told["exec"] = recorded(engine, "exec", lambda: execute(engine))
        told["by hand"] = recorded(engine, "by hand", lambda: by_hand(engine, home))
    json.dump(told, sys.stdout)


def recorded(engine: Engine, name: str, act: Callable[[], object]) -> dict[str, Any]:
    """What the trace tells of `act`, and the error that it ended with."""
    error = None
    with marked(name), engine.trace() as recording:
        try:
            act()
        except LabError as caught:
            error = str(caught)
    return {"error": error, "events": [event.to_json() for event in recording.events]}


@contextmanager
def marked(name: str) -> Iterator[None]:
    """Make the beginning and the end visible to strace."""
    os.path.exists(f"/begin {name}")
    yield
    os.path.exists(f"/end {name}")


def run(engine: Engine, settings: dict[str, Any]) -> None:
    """One container, from its birth to its removal."""
    engine.containers.run("lab/base", remove=True, **settings)


def execute(engine: Engine) -> None:
    """A command in a container that runs already."""
    container = engine.containers.run("lab/base", ["sleep", "60"], detach=True, init=True, **limits())
    try:
        container.exec_run(["true"], environment={"COLOUR": "red"})
        container.exec_run(["no-such-command"])
    finally:
        container.remove(force=True)


def limits() -> dict[str, Any]:
    """Limits, where this user may set any."""
    try:
        cgroup.host().bases()
    except HostError:
        return {}
    return {"mem_limit": "64m", "pids_limit": 20}


def by_hand(engine: Engine, home: Path) -> None:
    """The calls that are in ``kernel/`` for other purposes: joining namespaces, layers that fill more than a page."""
    for name in ("low", "up", "work", "merged"):
        (home / name).mkdir()
    layers = []
    for number in range(40):
        layers.append(home / f"{number:0100}")
        layers[-1].mkdir()
    rootless = os.geteuid() != 0
    journal = os.open(engine.trace_path() or "", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    ready, go = process.pipe2(OpenFlag.O_CLOEXEC)
    flags = CloneFlag.CLONE_NEWNS | CloneFlag.CLONE_NEWUTS | (CloneFlag.CLONE_NEWUSER if rootless else CloneFlag(0))
    child = process.clone3(flags)
    if child is None:
        # We are the child. What we record in memory ends with us, so it goes to the file.
        code = 1
        try:
            trace.stop()
            trace.to_file(journal)
            trace.become(trace.Role.CHILD)
            os.read(ready, 1)
            inside(Overlay(tuple(layers), home / "up", home / "work", userxattr=rootless), home / "merged")
            code = 0
        finally:
            os._exit(code)
    if rootless:
        userns.write_maps(child.pid, userns.own_maps())
    os.write(go, b"x")
    ended = process.wait(child)
    for fd in (ready, go, journal, child.pidfd):
        os.close(fd)
    if ended:
        raise HostError("the calls by hand", reason=f"the child has ended with {ended}")


def inside(union: Overlay, merged: Path) -> None:
    """As a process with new mount and UTS namespaces."""
    mount.set_propagation("/", MountFlag.MS_REC | MountFlag.MS_PRIVATE)
    union.mount(merged)
    mount.umount2(merged, mount.UmountFlag.MNT_DETACH)
    here = os.open("/proc/self/ns/uts", os.O_RDONLY | os.O_CLOEXEC)
    namespaces.unshare(CloneFlag.CLONE_NEWUTS)
    namespaces.setdomainname("glass.box")
    namespaces.setns(here, CloneFlag.CLONE_NEWUTS)
    os.close(here)
    _, permitted, inheritable = capabilities.capget()
    capabilities.capset(permitted, permitted, inheritable | {capabilities.Capability.CAP_KILL})
    capabilities.set_ambient([capabilities.Capability.CAP_KILL])
    process.setrlimit(process.ResourceLimit.RLIMIT_NOFILE, 500, 500)
    process.setrlimit(process.ResourceLimit.RLIMIT_CPU, 8192, process.Infinity.RLIM_INFINITY)
    me = process.pidfd_open(os.getpid())
    process.pidfd_send_signal(me, signal.SIGCONT)
    os.close(me)


if __name__ == "__main__":
    main()
