"""From a bundle to an init that waits for the word to execute its command.

    launch ── cgroup, limits ── clone3 ── id maps ── "go" ──► init: stages 1 … 8
       ◄──────────────────────────────────────── ready ────── waits before execve

A monitor launches containers that it stays with; an OCI runtime launches one and goes. Both need a process with one
thread. What has been made is in the `Launched`, also of a launch that failed half way: `clear` takes it away.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from labcontainer.errors import InitError, LabError
from labcontainer.kernel import cgroup, process, seccomp, trace, userns
from labcontainer.kernel.cgroup import Cgroup
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.kernel.overlay import Overlay
from labcontainer.kernel.process import Child
from labcontainer.kernel.trace import Role
from labcontainer.oci.bundle import Bundle
from labcontainer.oci.runtime_spec import Spec
from labcontainer.runtime import channel, init, plan, resources
from labcontainer.runtime.channel import Message
from labcontainer.runtime.init import Job

CLONE = {
    "pid": CloneFlag.CLONE_NEWPID,
    "network": CloneFlag.CLONE_NEWNET,
    "mount": CloneFlag.CLONE_NEWNS,
    "ipc": CloneFlag.CLONE_NEWIPC,
    "uts": CloneFlag.CLONE_NEWUTS,
    "user": CloneFlag.CLONE_NEWUSER,
    "time": CloneFlag.CLONE_NEWTIME,
}

Stdio = tuple[int, int, int]


@dataclass(slots=True)
class Launched:
    """A container that has been created, or as much of it as was."""

    child: Child | None = None
    cgroup: Cgroup | None = None
    channel: socket.socket | None = None
    terminal: int | None = None  # the controlling side, where the process has a terminal

    def start(self) -> None:
        """Let init execute the command."""
        assert self.channel is not None
        with contextlib.suppress(BrokenPipeError):  # init was killed: its pidfd tells
            channel.send(self.channel, "start")

    def clear(self) -> None:
        """Kill what lives, and remove the cgroup. Raises: KernelError (a cgroup that does not go)."""
        if self.child is not None:
            with contextlib.suppress(LabError):
                process.pidfd_send_signal(self.child.pidfd, signal.SIGKILL)
            process.wait(self.child)
            os.close(self.child.pidfd)
            self.child = None
        if self.cgroup is not None:
            self.cgroup.kill()
            self.cgroup.remove()
            self.cgroup = None
        for open_socket in filter(None, (self.channel,)):
            open_socket.close()


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be launched: the bundle's `spec`, its root, and what a config.json does not say.

    `snapshot` is the overlay to mount as the root, None where the rootfs is there already; `cgroup` a name below our
    base, None for none; `stdio` the descriptors for 0, 1 and 2, None where the process gets a terminal; `cache` a
    directory for compiled seccomp filters; `init` puts a reaper at PID 1 and the command below it.
    """

    spec: Spec
    bundle: Path
    snapshot: Overlay | None = None
    cgroup: str | None = None
    stdio: Stdio | None = None
    cache: Path | None = None
    init: bool = False


def launch(order: Order, made: Launched) -> None:
    """Create the container up to "created"; what is made stands in `made` from the moment it exists.

    Needs: a process with one thread. Raises: InitError (stage, cause), KernelError, HostError, SpecError, OSError.
    See: runtime-spec v1.2.0 runtime.md#lifecycle
    """
    spec = order.spec
    if spec.process is None or not spec.process.args:
        raise InitError("create", "the bundle's config names no command")
    kinds = {namespace.type for namespace in spec.linux.namespaces if not namespace.path} if spec.linux else set()
    with trace.step("cgroup", "the limits must stand before the first instruction runs"):
        made.cgroup = _make_cgroup(order)
    job = _job(order, made.cgroup, kinds)
    made.channel, theirs = channel.pair()
    with trace.step("clone", "one call makes the child and its new namespaces"):
        made.child = process.clone3(_flags(kinds), cgroup=made.cgroup.directory_fd() if made.cgroup else None)
    if made.child is None:
        # We are init: everything of our parent's but the channel and the streams is closed by stage 7.
        trace.become(Role.INIT)
        made.channel.close()
        init.main(job, theirs)
    theirs.close()
    if "user" in kinds:
        with trace.step("maps", "until its ids are mapped the child is nobody"):
            userns.write_maps(made.child.pid, userns.own_maps())
    with contextlib.suppress(BrokenPipeError):  # init was killed: what it should answer will not come
        channel.send(made.channel, "go")
    made.terminal = await_ready(made.channel)


def _flags(kinds: set[str]) -> CloneFlag:
    flags = CloneFlag(0)
    for kind, flag in CLONE.items():
        if kind in kinds:
            flags |= flag
    return flags


def _make_cgroup(order: Order) -> Cgroup | None:
    if order.cgroup is None:
        return None
    made = cgroup.create(order.cgroup)
    wanted = order.spec.linux.resources if order.spec.linux else None
    if wanted is not None:
        made.set(resources.limits(wanted))
    return made


def _job(order: Order, group: Cgroup | None, kinds: set[str]) -> Job:
    spec = order.spec
    filter = None
    if spec.linux and spec.linux.seccomp:
        filter = seccomp.compile(spec.linux.seccomp, cache=order.cache)
    return Job(
        spec=spec,
        steps=plan.root(spec, Bundle(order.bundle).rootfs, order.snapshot),
        seccomp_filter=filter,
        new_user="user" in kinds,
        cgroup=group,
        new_cgroup="cgroup" in kinds,
        stdio=order.stdio,
        reaper=order.init,
    )


def await_ready(connection: socket.socket) -> int | None:
    """Wait until the child could execute its command: the controlling side of its terminal, if it has one.

    Raises: InitError (what it sent when it failed).
    """
    terminal = None
    while True:
        message = channel.receive(connection)
        if message is None:
            raise InitError("root", "init was killed before the command ran", 137)
        if message.kind == "failed":
            raise failure(message)
        if message.kind == "terminal":
            terminal = message.fds[0]
        if message.kind == "ready":
            return terminal


def failure(message: Message) -> InitError:
    """The error that an init, or the child of an exec, has sent."""
    body = message.body
    return InitError(str(body["stage"]), str(body["cause"]), int(body["exit_code"]))
