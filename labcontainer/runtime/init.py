"""The child that becomes the container: numbered stages, one job each, then execve.

    1 wait       until the monitor has written the id maps
    2 join       the namespaces of others that the config names
    3 identity   root inside the user namespace, leader of a session, without the keys of the one before
    4 cgroup     move into our cgroup; a cgroup namespace with that as its root
    5 names      host name, domain name, sysctls: while /proc/sys can still be written
    6 root       the steps of `plan`: mounts, devices, the new root
    7 terminal   the terminal's inner side becomes stdin, stdout and stderr      (7 to 10 are in command.py:
    8 limits     resource limits, umask; no descriptor is inherited    an exec does the same)
    9 privileges user and groups, capabilities, no_new_privs, seccomp
   10 command    find the program, tell the monitor, wait for its word, execve

Who we are: PID 1 of the new PID namespace, with every privilege inside the namespaces until stage 9. A failure is sent
over the channel as (stage, cause, exit code); the channel is close-on-exec, so its end means success.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

from labcontainer.errors import InitError
from labcontainer.kernel import namespaces, process, procfs, trace
from labcontainer.kernel.cgroup import Cgroup
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.oci.runtime_spec import Process, Spec
from labcontainer.runtime import channel, command, hooks, plan, reaper, scheduling, sysctls
from labcontainer.runtime.filters import Filter
from labcontainer.runtime.inside import load_nothing_more
from labcontainer.runtime.steps import EnterRoot, Held, Step, bind_console

Joins = dict[CloneFlag, int]
# Joined by our parent already: a process itself cannot change its PID namespace, nor the owner of new ones.
_BY_PARENT = CloneFlag.CLONE_NEWUSER | CloneFlag.CLONE_NEWPID | CloneFlag.CLONE_NEWTIME


@dataclass(frozen=True, slots=True)
class Job:
    """All that an init needs; made by the monitor before the child exists."""

    spec: Spec
    steps: tuple[Step, ...]
    filter: Filter | None
    new_user: bool
    cgroup: Cgroup | None
    new_cgroup: bool
    stdio: tuple[int, int, int] | None  # None: a terminal is made inside
    reaper: bool = False  # the command runs below a PID 1 that waits for orphans
    hidden: bool = False  # that PID 1 cannot be looked into from the container
    new_keyring: bool = True
    joined: Joins = field(default_factory=dict)  # the namespaces of others, as open descriptors
    fifo: int | None = None  # where the word to start comes from, if nobody stays to send it
    preserve_fds: int = 0
    hook_state: Mapping[str, Any] = field(default_factory=dict)


class _Progress:
    """Where init stands, for the message that is sent when it fails."""

    stage = "wait"


def main(job: Job, connection: socket.socket) -> NoReturn:
    """Run every stage in the new child; never returns.

    What fails is sent to the monitor as ``{"kind": "failed", "stage", "cause", "exit_code"}``.
    """
    progress = _Progress()
    try:
        _stages(job, connection, progress)
    except BaseException as error:  # noqa: BLE001  nothing may escape: below us is the monitor's stack
        code = error.exit_code if isinstance(error, InitError) else 125
        try:
            channel.send(connection, "failed", stage=progress.stage, cause=command.cause(error), exit_code=code)
        finally:
            os._exit(code)
    os._exit(125)


def _stages(job: Job, connection: socket.socket, progress: _Progress) -> None:
    @contextmanager
    def stage(name: str, why: str) -> Iterator[None]:
        progress.stage = name
        with trace.step(name, why):
            yield

    spec = job.spec
    assert spec.process is not None
    _expect(connection, "go")
    with stage("join", "namespaces of others: their descriptors were opened while paths still meant the host's"):
        _join(job)
    with stage("identity", "as root inside the namespace we may set it up; outside we stay who we were"):
        _take_identity(job)
    with stage("cgroup", "a new cgroup namespace takes the cgroup in which we stand then as its root"):
        _enter_cgroup(job)
    with stage("names", "the UTS namespace starts as a copy: the host's name is still in it"):
        _names(spec)
    load_nothing_more()
    progress.stage = "root"
    _make_root(job)
    with stage("terminal", "stdin, stdout and stderr are all that the command inherits"):
        _take_stdio(job, spec.process, connection)
    with stage("limits", "what the command may use, and what it must not inherit"):
        if spec.linux is not None:
            scheduling.apply_all(spec.linux)
        command.limit(spec.process, preserve_fds=job.preserve_fds)
    with stage("privileges", "capabilities and system calls that the command does not need are given away"):
        command.give_privileges_away(spec.process, job.filter, connection)
    with stage("command", "from here on this process is the container's command"):
        arguments, variables = list(spec.process.args), command.environment(spec.process)
        command.change_directory(spec.process.cwd)
        path = command.find(arguments[0], variables)
        _await_start(job, spec.process, connection)
        hooks.run(spec.hooks, "startContainer", {**job.hook_state, "status": "created", "pid": os.getpid()})
        command.filter_late(spec.process, job.filter, connection, ready=True)
        if job.reaper:
            reaper.run(path, arguments, variables, connection, hidden=job.hidden)
        command.execute(path, arguments, variables)


def _take_stdio(job: Job, told: Process, connection: socket.socket) -> None:
    command.take_stdio(told, job.stdio, connection)
    if job.stdio is None and plan.has_own_dev(job.spec):
        bind_console(0)


def _expect(connection: socket.socket, kind: str) -> None:
    message = channel.receive(connection)
    if message is None:
        os._exit(125)  # the monitor is gone: nobody would ever hear of this container
    if message.kind != kind:
        raise InitError("wait", f"expected {kind}, got {message.kind}")


def _join(job: Job) -> None:
    for flag, fd in job.joined.items():
        if not flag & _BY_PARENT:
            namespaces.setns(fd, flag)


def _take_identity(job: Job) -> None:
    process.setsid()
    if job.new_user:
        process.setresgid(0, 0, 0)
        process.setresuid(0, 0, 0)
    if job.new_keyring:
        command.leave_keyring()


def _make_root(job: Job) -> None:
    held: Held = {}
    for step in job.steps:
        if isinstance(step, EnterRoot):
            hooks.run(job.spec.hooks, "createContainer", {**job.hook_state, "pid": os.getpid()})
        with trace.step(f"root: {type(step).__name__}", step.why):
            step.execute(held)
    for tree in held.values():
        tree.close()


def _await_start(job: Job, config: Process, connection: socket.socket) -> None:
    command.filter_late(config, job.filter, connection, ready=False)
    channel.send(connection, "ready")
    if job.fifo is None:
        _expect(connection, "start")
        return
    # Who has made us goes: we say no more, and wait where anybody with the right to it can speak to us.
    connection.close()
    os.read(job.fifo, 1)


def _enter_cgroup(job: Job) -> None:
    # We move ourselves: on version 1 the monitor, which would move us from outside, would wait 10 ms and more.
    if job.cgroup is not None:
        job.cgroup.enter()
    if job.new_cgroup:
        namespaces.unshare(CloneFlag.CLONE_NEWCGROUP)


def _names(spec: Spec) -> None:
    if spec.hostname:
        namespaces.sethostname(spec.hostname)
    if spec.domainname:
        namespaces.setdomainname(spec.domainname)
    for name, value in (spec.linux.sysctl if spec.linux else {}).items():
        if sysctls.name(name) == "kernel.domainname":
            # Its file is for the first user namespace's root alone, also where the UTS namespace is ours.
            namespaces.setdomainname(value)
        else:
            procfs.write(sysctls.path(name), value)
