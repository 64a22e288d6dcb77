"""From a bundle to an init that waits for the word to execute its command.

    launch ── cgroup, limits ── clone3 ── id maps ── "go" ──► init: stages 1 … 9
       ◄──────────────────────────────────────── ready ────── waits before execve

A monitor launches containers that it stays with; an OCI runtime launches one and goes. Both need a process with one
thread. What has been made is in the `Launched`, also of a launch that failed half way: `clear` takes it away.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainer.errors import InitError, LabError, told
from labcontainer.kernel import capabilities, cgroup, namespaces, process, trace, userns
from labcontainer.kernel.capabilities import Capability
from labcontainer.kernel.cgroup import Cgroup
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.kernel.overlay import Overlay
from labcontainer.kernel.proc import IdRange
from labcontainer.kernel.process import Child
from labcontainer.kernel.trace import Role
from labcontainer.oci.runtime_spec import Spec
from labcontainer.runtime import channel, clocks, devices, hooks, init, plan, resources, score, sysctls
from labcontainer.runtime.channel import Message
from labcontainer.runtime.filters import Filter
from labcontainer.runtime.init import Job, Joins

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
        if self.channel is not None:
            self.channel.close()
            self.channel = None


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be launched: the bundle's `spec`, its root, and what a config.json does not say.

    `snapshot` is the overlay to mount as the root, None where the rootfs is there already; `cgroup` a name for
    `cgroup.create`, None for none; `stdio` the descriptors for 0, 1 and 2, None where the process gets a terminal;
    `cache` a directory for compiled seccomp filters; `init` puts a reaper at PID 1 and the command below it.

    Where nobody stays with the container, `fifo` is what init reads the word to start from, `id` is what hooks are
    told, and of our descriptors the command inherits `preserve_fds` from 3 on. Without `new_keyring` the command keeps
    the caller's session keyring.
    """

    spec: Spec
    bundle: Path
    snapshot: Overlay | None = None
    cgroup: str | None = None
    stdio: Stdio | None = None
    cache: Path | None = None
    init: bool = False
    fifo: Path | None = None
    id: str = ""
    preserve_fds: int = 0
    new_keyring: bool = True

    @property
    def rootfs(self) -> Path:
        """The root file system, which the config names relative to the bundle. See: config.md#root"""
        return self.bundle / self.spec.root.path

    def state(self, pid: int) -> dict[str, Any]:
        """What hooks read. See: runtime-spec v1.2.0 runtime.md#state"""
        return {
            "ociVersion": self.spec.oci_version,
            "id": self.id,
            "status": "creating",
            "pid": pid,
            "bundle": str(self.bundle),
            "annotations": dict(self.spec.annotations),
        }


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
        _make_cgroup(order, made)
    job = _job(order, made.cgroup, kinds)
    capabilities.last()  # read now and kept: the container's /proc is not to tell which capabilities there are
    made.channel, theirs = channel.pair()
    sysctls.refuse(spec)
    kinds, offset = clocks.split(spec, kinds)
    with _joined_for_children(job.joined), clocks.set_ahead(offset), score.lent(spec.process.oom_score_adj):
        with trace.step("clone", "one call makes the child and its new namespaces"):
            made.child = process.clone3(_flags(kinds), cgroup=made.cgroup.directory_fd() if made.cgroup else None)
        if made.child is None:
            # We are init: everything of our parent's but the channel and the streams is closed by stage 8.
            trace.become(Role.INIT)
            made.channel.close()
            init.main(job, theirs)
    theirs.close()
    if "user" in kinds:
        with trace.step("maps", "until its ids are mapped the child is nobody"):
            userns.write_maps(made.child.pid, _maps(spec))
    for name in ("prestart", "createRuntime"):
        hooks.run(spec.hooks, name, order.state(made.child.pid))
    with contextlib.suppress(BrokenPipeError):  # init was killed: what it should answer will not come
        channel.send(made.channel, "go")
    pid = made.child.pid
    made.terminal = await_ready(made.channel, pid, job.filter, order.state(pid))


def _flags(kinds: set[str]) -> CloneFlag:
    flags = CloneFlag(0)
    for kind, flag in CLONE.items():
        if kind in kinds:
            flags |= flag
    return flags


def _maps(spec: Spec) -> userns.IdMaps:
    """Those of the config; ours where it has none."""
    linux = spec.linux
    if linux is None or not linux.uid_mappings:
        return userns.own_maps()
    uids, gids = (
        tuple(IdRange(each.container_id, each.host_id, each.size) for each in mappings)
        for mappings in (linux.uid_mappings, linux.gid_mappings)
    )
    return userns.IdMaps(uids, gids)


@contextlib.contextmanager
def _joined_for_children(joined: Joins) -> Iterator[None]:
    """Children are born in a PID namespace that their parent has joined; what has an owner needs the owner first.

    Afterwards our children are again born where we are, for a monitor has more of them. Who has joined a user namespace
    may not go back; that is an OCI runtime, which has no other child.
    """
    for flag in (CloneFlag.CLONE_NEWUSER, CloneFlag.CLONE_NEWPID, CloneFlag.CLONE_NEWTIME):
        if flag in joined:
            namespaces.setns(joined[flag], flag)
    yield
    if CloneFlag.CLONE_NEWPID in joined and CloneFlag.CLONE_NEWUSER not in joined:
        fd = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        namespaces.setns(fd, CloneFlag.CLONE_NEWPID)
        os.close(fd)
    for fd in joined.values():
        os.close(fd)


def _joins(spec: Spec) -> Joins:
    """Descriptors of the namespaces that are to be joined, opened while paths still mean ours."""
    found: Joins = {}
    for namespace in spec.linux.namespaces if spec.linux else ():
        if namespace.path:
            flag = CloneFlag.CLONE_NEWCGROUP if namespace.type == "cgroup" else CLONE[namespace.type]
            try:
                found[flag] = os.open(namespace.path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise InitError("create", f"the {namespace.type} namespace to join: {told(error)}") from None
    return found


def _make_cgroup(order: Order, made: Launched) -> None:
    if order.cgroup is None:
        return
    # Known before it is limited: a limit that is refused must not leave it behind.
    made.cgroup = cgroup.create(order.cgroup)
    wanted = order.spec.linux.resources if order.spec.linux else None
    if wanted is not None:
        made.cgroup.set(resources.limits(devices.always_allowed(wanted)))


def _job(order: Order, group: Cgroup | None, kinds: set[str]) -> Job:
    spec = order.spec
    return Job(
        spec=spec,
        steps=plan.root(spec, order.rootfs, order.snapshot, cgroups=group.directories if group else ()),
        filter=Filter.of(spec, order.cache),
        new_user="user" in kinds,
        hidden="user" not in kinds and Capability.CAP_SYS_PTRACE in capabilities.read().effective,
        cgroup=group,
        new_cgroup="cgroup" in kinds,
        stdio=order.stdio,
        reaper=order.init,
        new_keyring=order.new_keyring,
        joined=_joins(spec),
        fifo=os.open(order.fifo, os.O_RDWR | os.O_CLOEXEC) if order.fifo else None,
        preserve_fds=order.preserve_fds,
        hook_state=order.state(0),
    )


def await_ready(connection: socket.socket, pid: int, filter: Filter | None, state: Mapping[str, Any]) -> int | None:
    """Wait until the child `pid` could execute its command: the controlling side of its terminal, if it has one.

    An agent that `filter` asks is told of the container's `state`. Raises: InitError (what it sent when it failed).
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
        if message.kind == "seccomp" and filter is not None:
            filter.introduce(message, pid, state)
        if message.kind == "ready":
            return terminal


def failure(message: Message) -> InitError:
    """The error that an init, or the child of an exec, has sent."""
    body = message.body
    return InitError(str(body["stage"]), str(body["cause"]), int(body["exit_code"]))
