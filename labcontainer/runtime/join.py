"""One more process in a container that runs: what ``exec`` and health checks do.

    keeper                                  child
      │ setns(pidfd, NEWPID [NEWUSER])        │
      │ ── clone3 ──────────────────────────► │ cgroup, setns(pidfd, the other namespaces), a session
      │ ◄── ready, or failed ──────────────── │ terminal, limits, privileges: as init's (see `command`)
      │ ◄── end of file ───────────────────── │ execve

A PID namespace can be joined for one's children only, so the keeper joins that one and the child the others. Until its
execve the child is not dumpable: what lives in the container cannot look through its /proc/PID at descriptors and
files of the host's (CVE-2016-9962, CVE-2019-5736).

Who we are: forked by the zygote or a monitor, one thread, the privileges of the user who started the engine.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from labcontainer.errors import InitError, KernelError, StateError
from labcontainer.kernel import capabilities, cgroup, namespaces, process, trace
from labcontainer.kernel.cgroup import Cgroup
from labcontainer.kernel.namespaces import NAMESPACES, CloneFlag
from labcontainer.kernel.process import Child, Dumpable, Prctl
from labcontainer.kernel.scheduling import sched_setaffinity
from labcontainer.kernel.trace import Role
from labcontainer.oci.bundle import Bundle
from labcontainer.oci.runtime_spec import Process
from labcontainer.runtime import channel, command, launch, scheduling, score
from labcontainer.runtime.filters import Filter
from labcontainer.runtime.inside import load_nothing_more
from labcontainer.runtime.launch import Order, Stdio
from labcontainer.runtime.state import ProcessId, State

_FOR_CHILDREN = CloneFlag.CLONE_NEWPID | CloneFlag.CLONE_NEWUSER


@dataclass(slots=True)
class Joined:
    """The new process, and the channel that ends when it has become its command."""

    child: Child
    channel: socket.socket
    terminal: int | None


@dataclass(frozen=True, slots=True)
class _Target:
    pidfd: int
    flags: CloneFlag
    cgroup: Cgroup | None
    filter: Filter | None
    preserve_fds: int
    state: Mapping[str, Any]


def join(
    directory: Path,
    state: State,
    config: Process,
    stdio: Stdio | None,
    *,
    cache: Path | None = None,
    preserve_fds: int = 0,
) -> Joined:
    """Start the process `config` in the container of `directory`; afterwards the caller belongs to its PID namespace.

    Of our descriptors the process inherits `preserve_fds` from 3 on.

    Needs: a caller with one thread that does nothing else any more. Raises: StateError (it has ended), InitError,
    KernelError. See: man 2 setns, man 7 pid_namespaces
    """
    target = _target(directory, state, cache, preserve_fds)
    capabilities.last()  # read now and kept: the container's /proc is not to tell which capabilities there are
    ours, theirs = channel.pair()
    group = target.cgroup
    with score.lent(config.oom_score_adj):
        process.prctl(Prctl.PR_SET_DUMPABLE, Dumpable.SUID_DUMP_DISABLE)
        with trace.step("join", "children of a process that joins a PID namespace are born in it"):
            if target.flags & _FOR_CHILDREN:
                namespaces.setns(target.pidfd, target.flags & _FOR_CHILDREN)
        with trace.step("clone", "the new process joins the rest: its keeper has to stay outside"):
            child = process.clone3(CloneFlag(0), cgroup=group.directory_fd() if group else None)
        if child is None:
            # We are the child: in the container's PID and user namespace, not yet in its others.
            trace.become(Role.INIT)
            ours.close()
            _become(target, config, stdio, theirs)
    theirs.close()
    os.close(target.pidfd)
    return Joined(child, ours, launch.await_ready(ours, child.pid, target.filter, target.state))


def _target(directory: Path, state: State, cache: Path | None, preserve_fds: int) -> _Target:
    pidfd = _hold(state)
    there = namespaces.inodes(state.init.pid) if state.init else {}
    here = namespaces.inodes()
    flags = CloneFlag(0)
    for name, flag in NAMESPACES.items():
        if there.get(name) != here.get(name):
            flags |= flag
    spec = Bundle(directory).read()
    known = Order(spec, directory, id=state.id).state(state.init.pid if state.init else 0)
    return _Target(
        pidfd, flags, cgroup.open(state.cgroup) if state.cgroup else None, Filter.of(spec, cache), preserve_fds,
        {**known, "status": "running"},
    )  # fmt: skip


def _hold(state: State) -> int:
    """A pidfd of the container's init, and of no process that was given its number later."""
    init = state.init or ProcessId(0, 0)
    try:
        pidfd = process.pidfd_open(init.pid)
    except KernelError:
        raise StateError(state.id, state.status, "exec") from None
    if not init.alive():
        os.close(pidfd)
        raise StateError(state.id, "stopped", "exec")
    return pidfd


def _enter(target: _Target) -> None:
    load_nothing_more()
    if target.cgroup is not None:
        target.cgroup.enter()
    rest = target.flags & ~_FOR_CHILDREN
    if rest:
        namespaces.setns(target.pidfd, rest)
    process.setsid()
    if target.flags & CloneFlag.CLONE_NEWUSER:
        process.setresgid(0, 0, 0)
        process.setresuid(0, 0, 0)
    command.leave_keyring()


def _become(target: _Target, config: Process, stdio: Stdio | None, connection: socket.socket) -> NoReturn:
    stage, affinity = "join", config.exec_cpu_affinity

    @contextmanager
    def at(name: str, why: str) -> Iterator[None]:
        nonlocal stage
        stage = name
        with trace.step(name, why):
            yield

    try:
        with at("join", "the container's limits and its view of the machine hold for this process too"):
            # The cgroup's own CPUs take this one's place: it is for the way there.
            if affinity is not None and affinity.initial:
                sched_setaffinity(scheduling.cpus(affinity.initial))
            _enter(target)
        with at("terminal", "stdin, stdout and stderr are all that the command inherits"):
            command.take_stdio(config, stdio, connection)
        with at("limits", "what the command may use, and what it must not inherit"):
            if affinity is not None and affinity.final:
                sched_setaffinity(scheduling.cpus(affinity.final))
            command.limit(config, preserve_fds=target.preserve_fds)
        with at("privileges", "capabilities and system calls that the command does not need are given away"):
            command.give_privileges_away(config, target.filter, connection)
        with at("command", "from here on this process is the command"):
            arguments, variables = list(config.args), command.environment(config)
            command.change_directory(config.cwd)
            path = command.find(arguments[0], variables)
            command.filter_late(config, target.filter, connection, ready=False)
            channel.send(connection, "ready")
            command.filter_late(config, target.filter, connection, ready=True)
            command.execute(path, arguments, variables)
    except BaseException as error:  # noqa: BLE001  nothing may escape: below us is the keeper's stack
        code = error.exit_code if isinstance(error, InitError) else 125
        try:
            channel.send(connection, "failed", stage=stage, cause=command.cause(error), exit_code=code)
        finally:
            os._exit(code)
