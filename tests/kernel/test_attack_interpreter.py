"""CVE-2019-5736 in full: a container that waits for the engine's processes, to overwrite the program that they run."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from labcontainer.runtime import state
from tests.kernel.conftest import eventually

if TYPE_CHECKING:
    from labcontainer.engine import Engine
    from labcontainer.engine.container import Container

# Looks at every process that appears, holds the program that it runs, and opens it to write once the process is gone.
# Nothing is written: that it could be is proof enough.
WAIT = """
import json, os, sys
mine = os.stat("/proc/self/exe")
ours = mine.st_dev, mine.st_ino
held = {}
print("ready", flush=True)
while not os.path.exists("/stop"):
    for pid in os.listdir("/proc"):
        if pid.isdigit() and int(pid) != os.getpid():
            try:
                fd = os.open(f"/proc/{pid}/exe", os.O_PATH)
            except OSError:
                continue
            found = os.fstat(fd)
            key = (found.st_dev, found.st_ino)
            if key in held or key == ours or os.readlink(f"/proc/self/fd/{fd}").endswith("/busybox"):
                os.close(fd)
            else:
                held[key] = fd
for (device, inode), fd in held.items():
    try:
        os.open(f"/proc/self/fd/{fd}", os.O_WRONLY)
        error = 0
    except OSError as failure:
        error = failure.errno
    print(json.dumps([device, inode, os.readlink(f"/proc/self/fd/{fd}"), error]), flush=True)
print("done", flush=True)
"""


def caught(lab: Engine, box: Container, **settings: Any) -> list[tuple[int, int, str, int]]:
    """What the attacker in `box` has got hold of while other commands were started there."""
    assert eventually(lambda: b"ready" in box.logs())
    for _ in range(20):
        assert box.exec_run(["true"], **settings).exit_code == 0
    box.exec_run(["touch", "/stop"])
    assert eventually(lambda: b"done" in box.logs())
    return [tuple(json.loads(line)) for line in box.logs().decode().splitlines()[1:-1]]


@pytest.mark.parametrize("settings", [{}, {"cap_add": ["SYS_PTRACE"]}, {"cap_add": ["SYS_PTRACE"], "init": True}])
def test_the_hosts_interpreter_cannot_be_overwritten(lab: Engine, settings: dict[str, Any]) -> None:
    box = lab.containers.run("lab/python", ["python3", "-u", "-c", WAIT], detach=True, seccomp=False, **settings)
    try:
        found = caught(lab, box)
    finally:
        box.remove(force=True)
    host = os.stat(sys.executable)
    assert (host.st_dev, host.st_ino) not in {(device, inode) for device, inode, _, _ in found}
    assert all(error for _, _, _, error in found), found
    if "cap_add" in settings and os.geteuid() == 0:
        assert found, "the attacker was too slow to see anybody: this test proves nothing"
    if "init" in settings:
        assert any("lab-python" in path for _, _, path, _ in found)


def test_a_monitor_runs_from_a_copy_that_is_sealed(lab: Engine) -> None:
    """Not even root can write to it, however the file is reached."""
    box = lab.containers.run("lab/base", ["sleep", "60"], detach=True)
    try:
        monitor = state.load(box.directory).monitor
        assert monitor is not None
        with open(f"/proc/{monitor.pid}/exe", "rb") as program:
            assert fcntl.fcntl(program, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE
    finally:
        box.remove(force=True)
