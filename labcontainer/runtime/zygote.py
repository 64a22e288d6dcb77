"""The small process that forks monitors: started by `client.Zygote`.

A notebook's process has threads, and a child forked from it would inherit their locks but not the threads that hold
them. So one process with a single thread is started for each engine root, imports everything a container needs once,
and forks a monitor for each request that comes to its socket. It is found again by the next client, ends after ten idle
minutes, and can be killed at any time: the monitors live on.

Who we are: a child of whoever came first, in a session of our own, with that user's privileges.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from labcontainer.errors import LabError
from labcontainer.kernel import cgroup, process, trace
from labcontainer.kernel.trace import Role
from labcontainer.oci.runtime_spec import Spec
from labcontainer.runtime import channel, devices, plan, resources, session, state
from labcontainer.runtime.monitor import Monitor
from labcontainer.runtime.request import ExecRequest, Request

IDLE_S = 600


def main(address: Path) -> None:
    """Serve the listening socket at `address`, which is our descriptor 0, until nobody has asked for ten minutes."""
    _become_quiet()
    listener = socket.socket(fileno=0)
    # Reaped by the Linux kernel: a monitor's exit status says nothing that its state file does not.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener.settimeout(IDLE_S)
    _warm_up()
    # What exists now is moved out of the collector's sight, so that a monitor's collections do not touch (and so
    # copy) the pages that all monitors share.
    gc.collect()
    gc.freeze()
    try:
        while True:
            connection, _ = listener.accept()
            _serve(connection, listener)
    except TimeoutError:
        address.unlink(missing_ok=True)


def _serve(connection: socket.socket, listener: socket.socket) -> None:
    with connection:
        connection.settimeout(5)
        try:
            if not _same_user(connection):
                return
            message = channel.receive(connection)
        except (OSError, ValueError):
            return
        if message is None:
            return
        if message.kind == "quit":
            raise TimeoutError
        if message.kind == "create":
            request = Request.from_json(message.body)
            _fork_keeper(request.trace, connection, listener, lambda: Monitor(request, connection).run())
        if message.kind == "exec":
            wanted = ExecRequest.from_json(message.body)
            _fork_keeper(wanted.trace, connection, listener, lambda: session.run(wanted, connection))


def _fork_keeper(
    trace_path: str | None, connection: socket.socket, listener: socket.socket, keep: Callable[[], None]
) -> None:
    """Fork the process that stays with a container, or with an exec: `keep` is its whole life."""
    with (
        _recorded(trace_path),
        trace.step("fork", "the monitor must live on when the notebook is closed, so it is a process of its own"),
    ):
        pid = process.fork()
        if pid == 0:
            # We are the monitor: same privileges, one thread; the zygote's listening socket is not ours.
            _keep(connection, listener, keep)


@contextlib.contextmanager
def _recorded(path: str | None) -> Iterator[None]:
    """Append what happens inside to the trace at `path`; a monitor goes on with it, and never comes back here."""
    if path is None:
        yield
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:  # who wanted to record has stopped meanwhile
        yield
        return
    trace.to_file(fd)
    trace.become(Role.ZYGOTE)
    try:
        yield
    finally:
        trace.stop()
        os.close(fd)


def _keep(connection: socket.socket, listener: socket.socket, keep: Callable[[], None]) -> NoReturn:
    code = 1
    try:
        trace.become(Role.MONITOR)
        listener.close()
        with trace.step("session", "no terminal of the notebook's may send us a signal"):
            process.setsid()
        with trace.step("session", "ps tells a container's monitor from the zygote"):
            process.prctl(process.Prctl.PR_SET_NAME, b"lab-monitor")
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        connection.settimeout(None)
        keep()
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())  # into the zygote's log: nobody waits for our exit status
        raise
    finally:
        # Not sys.exit: the zygote's own clean-up must not run in its children.
        os._exit(code)


def _warm_up() -> None:
    """Read a bundle's config and plan its root once, so that every monitor inherits what Python caches on first use."""
    sample = {
        "ociVersion": "1.2.0",
        "process": {"cwd": "/", "user": {"uid": 0, "gid": 0}, "args": ["true"], "capabilities": {}, "rlimits": []},
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/proc", "type": "proc", "options": ["nosuid"]}],
        "linux": {
            "namespaces": [{"type": "pid"}],
            "resources": {"devices": [{"allow": False}], "memory": {}, "cpu": {}, "pids": {"limit": 50}, "blockIO": {}},
            "seccomp": {},
        },
    }
    spec = Spec.from_json(json.loads(json.dumps(sample)))
    plan.root(spec, Path("/"), None)
    assert spec.linux is not None
    assert spec.linux.resources is not None
    resources.limits(devices.always_allowed(spec.linux.resources))
    state.boot_id()
    with contextlib.suppress(LabError):
        cgroup.host()


def _same_user(connection: socket.socket) -> bool:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return bool(struct.unpack("3i", credentials)[1] == os.geteuid())


def _become_quiet() -> None:
    os.chdir("/")
    os.umask(0o022)
    process.close_range(3)  # the program that we run from
    with contextlib.suppress(OSError):
        process.prctl(process.Prctl.PR_SET_NAME, b"lab-zygote")
