"""The child that becomes the container: numbered stages, one job each, then execve.

    1 wait       until the monitor has written the id maps
    2 identity   root inside the user namespace, leader of a session
    3 cgroup     move into our cgroup; a cgroup namespace with that as its root
    4 root       the steps of `plan`: mounts, devices, the new root
    5 names      host name, domain name, sysctls
    6 terminal   the terminal's inner side becomes stdin, stdout and stderr
    7 limits     resource limits, oom_score_adj, umask; no descriptor is inherited
    8 privileges user and groups, capabilities, no_new_privs, seccomp
    9 command    tell the monitor, wait for its word, execve

Who we are: PID 1 of the new PID namespace, with every privilege inside the namespaces until stage 8. A failure is sent
over the channel as (stage, cause, exit code); the channel is close-on-exec, so its end means success.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from labcontainer.errors import InitError, KernelError, told
from labcontainer.kernel import capabilities, file, namespaces, process, pty, seccomp, trace
from labcontainer.kernel.capabilities import Capability
from labcontainer.kernel.cgroup import Cgroup
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.kernel.process import CloseRange, Infinity, Prctl, ResourceLimit
from labcontainer.oci.runtime_spec import Process, Spec
from labcontainer.runtime import channel
from labcontainer.runtime.steps import Held, Step


@dataclass(frozen=True, slots=True)
class Job:
    """All that an init needs; made by the monitor before the child exists."""

    spec: Spec
    steps: tuple[Step, ...]
    seccomp_filter: bytes | None
    new_user: bool
    cgroup: Cgroup | None
    new_cgroup: bool
    stdio: tuple[int, int, int] | None  # None: a terminal is made inside


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
        cause = error.cause if isinstance(error, InitError) else _cause(error)
        try:
            channel.send(connection, "failed", stage=progress.stage, cause=cause, exit_code=code)
        finally:
            os._exit(code)
    os._exit(125)


def _cause(error: BaseException) -> str:
    return told(error) if isinstance(error, OSError) else str(error) or repr(error)


def _stages(job: Job, connection: socket.socket, progress: _Progress) -> None:
    @contextmanager
    def stage(name: str, why: str) -> Iterator[None]:
        progress.stage = name
        with trace.step(name, why):
            yield

    spec = job.spec
    assert spec.process is not None
    _expect(connection, "go")
    with stage("identity", "as root inside the namespace we may set it up; outside we stay who we were"):
        process.setsid()
        if job.new_user:
            process.setresgid(0, 0, 0)
            process.setresuid(0, 0, 0)
    with stage("cgroup", "a new cgroup namespace takes the cgroup in which we stand then as its root"):
        _enter_cgroup(job)
    progress.stage = "root"
    held: Held = {}
    for step in job.steps:
        with trace.step(f"root: {type(step).__name__}", step.why):
            step.execute(held)
    with stage("names", "the UTS namespace starts as a copy: the host's name is still in it"):
        _names(spec)
    with stage("terminal", "stdin, stdout and stderr are all that the command inherits"):
        _stdio(job, connection)
    with stage("limits", "what the command may use, and what it must not inherit"):
        _limits(spec.process)
    with stage("privileges", "capabilities and system calls that the command does not need are given away"):
        _privileges(spec.process, job.seccomp_filter)
    with stage("command", "from here on this process is the container's command"):
        arguments, environment = list(spec.process.args), _environment(spec.process)
        _change_directory(spec.process.cwd)
        channel.send(connection, "ready")
        _expect(connection, "start")
        _filter_last(spec.process, job.seccomp_filter)
        _execute(arguments, environment)


def _expect(connection: socket.socket, kind: str) -> None:
    message = channel.receive(connection)
    if message is None:
        os._exit(125)  # the monitor is gone: nobody would ever hear of this container
    if message.kind != kind:
        raise InitError("wait", f"expected {kind}, got {message.kind}")


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
        file.write("/proc/sys/" + name.replace(".", "/"), value)


def _stdio(job: Job, connection: socket.socket) -> None:
    if job.stdio is not None:
        for target, fd in enumerate(job.stdio):
            process.dup2(fd, target)
        return
    controller, terminal = pty.open_pair()
    pty.make_controlling(terminal)
    for target in (0, 1, 2):
        process.dup2(terminal, target)
    channel.send(connection, "terminal", fds=[controller])
    os.close(controller)


def _limits(config: Process) -> None:
    for limit in config.rlimits:
        if limit.type not in ResourceLimit.__members__:
            raise InitError("limits", f"unknown resource limit {limit.type}")
        process.setrlimit(ResourceLimit[limit.type], _rlim(limit.soft), _rlim(limit.hard))
    if config.oom_score_adj is not None:
        file.write("/proc/self/oom_score_adj", str(config.oom_score_adj))
    process.umask(config.user.umask if config.user.umask is not None else 0o022)
    # Marked, not closed: the channel must live until execve tells the monitor of success.
    process.close_range(3, flags=CloseRange.CLOSE_RANGE_CLOEXEC)


def _rlim(value: int) -> int:
    return Infinity.RLIM_INFINITY if value >= (1 << 63) - 1 else value


def _privileges(config: Process, filter: bytes | None) -> None:
    wanted = config.capabilities
    # Without no_new_privs a filter needs CAP_SYS_ADMIN, which we are about to give away.
    if filter is not None and not config.no_new_privileges:
        seccomp.load(filter)
    if wanted is not None:
        capabilities.drop_bounding(_caps(wanted.bounding))
        process.prctl(Prctl.PR_SET_KEEPCAPS, 1)
    if config.user.additional_gids or os.getuid() == 0:
        _set_groups(list(config.user.additional_gids))
    process.setresgid(config.user.gid, config.user.gid, config.user.gid)
    process.setresuid(config.user.uid, config.user.uid, config.user.uid)
    if wanted is not None:
        capabilities.capset(_caps(wanted.effective), _caps(wanted.permitted), _caps(wanted.inheritable))
        capabilities.set_ambient(_caps(wanted.ambient))
    if config.no_new_privileges:
        process.prctl(Prctl.PR_SET_NO_NEW_PRIVS, 1)


def _set_groups(groups: list[int]) -> None:
    try:
        process.setgroups(groups)
    except KernelError as error:
        # With a single id mapped setgroups is denied for good; there is then no other group to leave or join.
        if error.errno != errno.EPERM or groups:
            raise


def _filter_last(config: Process, filter: bytes | None) -> None:
    if filter is not None and config.no_new_privileges:
        seccomp.load(filter)


def _caps(names: tuple[str, ...]) -> frozenset[Capability]:
    return frozenset(Capability[name] for name in names)


def _environment(config: Process) -> dict[str, str]:
    pairs = (text.partition("=") for text in config.env)
    return {key: value for key, _, value in pairs}


def _change_directory(cwd: str) -> None:
    try:
        process.chdir(cwd)
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise
        file.make_directories(cwd)
        process.chdir(cwd)
    if not os.getcwd().startswith("/"):
        raise InitError("command", f"the working directory {cwd} lies outside of the container's root")


def _execute(arguments: list[str], environment: dict[str, str]) -> NoReturn:
    name = arguments[0]
    if not name:
        raise InitError("command", "'': not found in PATH", 127)
    if "/" in name:
        candidates = [name]
    else:
        path = environment.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        candidates = [f"{directory or '.'}/{name}" for directory in path.split(":")]
    refused: KernelError | None = None
    for candidate in candidates:
        try:
            process.execve(candidate, arguments, environment)
        except KernelError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                refused = error
    raise _not_executed(name, refused, candidates)


def _not_executed(name: str, refused: KernelError | None, candidates: list[str]) -> InitError:
    if refused is not None:
        reason = "it has no #! line and is not for this machine" if refused.errno == errno.ENOEXEC else refused.strerror
        return InitError("command", f"{name}: cannot be executed: {reason}", 126)
    if len(candidates) == 1 and os.path.exists(name):
        return InitError("command", f"{name}: its interpreter or loader is missing in the image", 127)
    where = "no such file" if len(candidates) == 1 else "not found in PATH"
    return InitError("command", f"{name}: {where}", 127)
