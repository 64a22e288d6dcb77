"""From a process that stands in its container to the command: what an init and an exec have in common.

    terminal     the terminal's inner side, or pipes, become stdin, stdout and stderr
    limits       resource limits, umask; no descriptor is inherited
    privileges   user and groups, capabilities, no_new_privs, seccomp
    command      working directory, the program's path, execve

Who we are: a process inside the container's namespaces with every privilege there, which this file gives away.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
from pathlib import PurePosixPath
from typing import NoReturn

from labcontainer.errors import HostError, InitError, KernelError, told
from labcontainer.kernel import capabilities, file, keyring, process, pty
from labcontainer.kernel.capabilities import Capability
from labcontainer.kernel.mount import At
from labcontainer.kernel.openat2 import Resolve, openat2
from labcontainer.kernel.process import CloseRange, Dumpable, Infinity, Prctl, ResourceLimit
from labcontainer.oci.runtime_spec import Process, Rlimit
from labcontainer.runtime import channel, scheduling
from labcontainer.runtime.filters import Filter

_NULL = os.makedev(1, 3)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def take_stdio(config: Process, stdio: tuple[int, int, int] | None, connection: socket.socket) -> None:
    """Make `stdio`, or a new terminal whose controller goes over `connection`, the descriptors 0, 1 and 2.

    Raises: OSError.
    """
    if stdio is None:
        controller, terminal = pty.open_pair()
        if config.console_size is not None:
            pty.set_size(controller, pty.Size(config.console_size.height, config.console_size.width))
        pty.make_controlling(terminal)
        stdio = (terminal, terminal, terminal)
        channel.send(connection, "terminal", fds=[controller])
        os.close(controller)
    for target, fd in enumerate(stdio):
        process.dup2(fd, target)
        _give(target, config)


def _give(fd: int, config: Process) -> None:
    """An ordinary user inside opens /dev/stdout by its path, and so needs to own what is behind it."""
    status = os.fstat(fd)
    # The null device is everybody's; and ours, given away here, may be the host's own /dev/null.
    if status.st_uid == config.user.uid or status.st_rdev == _NULL:
        return
    try:
        file.fchown(fd, config.user.uid, -1)
    except OSError as error:
        # A descriptor of the host's that our user namespace does not own stays as it is.
        if error.errno not in (errno.EPERM, errno.EINVAL, errno.EROFS):
            raise


def leave_keyring() -> None:
    """Have a session keyring of our own: the one we have inherited holds the keys of the engine's user.

    Raises: KernelError (EDQUOT).
    """
    try:
        keyring.join_session_keyring()
    except KernelError as error:
        # A Linux kernel without keys; or a filter around us, which our children inherit: then they cannot read any.
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise


def limit(config: Process, *, preserve_fds: int = 0) -> None:
    """Set what the command may use, and see that it inherits no descriptor but `preserve_fds` of them from 3 on.

    Raises: InitError, KernelError.
    """
    scheduling.apply(config)
    for wanted in config.rlimits:
        _limit(wanted)
    process.umask(config.user.umask if config.user.umask is not None else 0o022)
    # Marked, not closed: the channel must live until execve tells the keeper of success.
    process.close_range(3 + preserve_fds, flags=CloseRange.CLOSE_RANGE_CLOEXEC)


def _limit(wanted: Rlimit) -> None:
    if wanted.type not in ResourceLimit.__members__:
        raise InitError("limits", f"unknown resource limit {wanted.type}")
    resource = ResourceLimit[wanted.type]
    try:
        process.setrlimit(resource, _rlim(wanted.soft), _rlim(wanted.hard))
    except KernelError as error:
        if error.errno != errno.EPERM:
            raise
        _, most = process.getrlimit(resource)
        name = wanted.type.removeprefix("RLIMIT_").lower()
        raise HostError(
            f"the hard limit {name}={wanted.hard}", f"choose {most} or less",
            f"only a process with CAP_SYS_RESOURCE can raise it above the {most} that it has",
        ) from None  # fmt: skip


def _rlim(value: int) -> int:
    return Infinity.RLIM_INFINITY if value >= (1 << 63) - 1 else value


def give_privileges_away(config: Process, filter: Filter | None, connection: socket.socket) -> None:
    """Become the command's user with the command's capabilities. Raises: KernelError, OSError."""
    wanted = config.capabilities
    # From here on whoever shares our PID namespace may be our equal; what we are until execve is not for their eyes.
    process.prctl(Prctl.PR_SET_DUMPABLE, Dumpable.SUID_DUMP_DISABLE)
    # Without no_new_privs a filter needs CAP_SYS_ADMIN, which we are about to give away.
    if filter is not None and not config.no_new_privileges:
        filter.load(connection)
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


def filter_late(config: Process, filter: Filter | None, connection: socket.socket, *, ready: bool) -> None:
    """Load a filter that needs no privilege as late as can be: what came before is then no concern of its rules.

    That is when the keeper was told that we are `ready`, but before it where the keeper has to speak to an agent.
    """
    if filter is not None and config.no_new_privileges and filter.listens is not ready:
        filter.load(connection)


def _set_groups(groups: list[int]) -> None:
    try:
        process.setgroups(groups)
    except KernelError as error:
        # With a single id mapped setgroups is denied for good; there is then no other group to leave or join.
        if error.errno != errno.EPERM or groups:
            raise


def _caps(names: tuple[str, ...]) -> frozenset[Capability]:
    return frozenset(Capability[name] for name in names)


def cause(error: BaseException) -> str:
    """What is sent to the keeper of an error in its child."""
    if isinstance(error, InitError):
        return error.cause
    return told(error) if isinstance(error, OSError) else str(error) or repr(error)


def environment(config: Process) -> dict[str, str]:
    """The command's variables; of two with one name the last counts."""
    pairs = (text.partition("=") for text in config.env)
    return {key: value for key, _, value in pairs}


def change_directory(cwd: str) -> None:
    """Go to `cwd`, made if it is missing. Raises: InitError (it lies outside of the root), OSError."""
    try:
        process.chdir(cwd)
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise
        file.make_directories(cwd)
        process.chdir(cwd)
    # A path through a leaked descriptor of the host would lead outside (CVE-2024-21626): getcwd(2) tells.
    if not os.getcwd().startswith("/"):
        raise InitError("command", f"the working directory {cwd} lies outside of the container's root")


def find(name: str, variables: dict[str, str]) -> str:
    """The path of the program `name`, as execvp(3) would find it. Raises: InitError (126, 127)."""
    if not name:
        raise InitError("command", "'': not found in PATH", 127)
    if "/" in name:
        candidates = [name]
    else:
        path = variables.get("PATH", _PATH)
        candidates = [str(PurePosixPath(directory or ".") / name) for directory in path.split(":")]
    there = [path for path in candidates if os.path.exists(path) and not os.path.isdir(path)]
    for path in there:
        if os.access(path, os.X_OK):
            _refuse_engine(name, path)
            return path
    if there:
        raise InitError("command", f"{name}: cannot be executed: {os.strerror(errno.EACCES)}", 126)
    if "/" in name and os.path.isdir(name):
        raise InitError("command", f"{name}: cannot be executed: it is a directory", 126)
    where = "no such file" if "/" in name else "not found in PATH"
    raise InitError("command", f"{name}: {where}", 127)


def _refuse_engine(name: str, path: str, depth: int = 0) -> None:
    """Until execve /proc/self/exe is the host's Python: as a command or a script's interpreter it would run inside.

    The container could then overwrite it (CVE-2019-5736).
    """
    try:
        fd = openat2(At.AT_FDCWD, path, os.O_RDONLY | os.O_NONBLOCK, Resolve.RESOLVE_NO_MAGICLINKS)
    except KernelError as error:
        if error.errno == errno.ELOOP:
            raise InitError("command", f"{name}: refused: {path} leads to a program of the host's", 126) from None
        return  # executable but not readable, or a seccomp filter of the bundle's own that lacks openat2
    with open(fd, "rb") as file:
        # A fifo with the executable bit would keep us waiting for a writer; execve refuses it.
        line = file.read(256).partition(b"\n")[0] if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    interpreter = line[2:].split(maxsplit=1) if line.startswith(b"#!") else []
    if interpreter and depth < 5:  # execve(2) gives up at the fifth
        _refuse_engine(name, os.fsdecode(interpreter[0]), depth + 1)


def execute(path: str, arguments: list[str], variables: dict[str, str]) -> NoReturn:
    """Become the program at `path`. Raises: InitError (126, 127)."""
    name = arguments[0]
    # Python ignores these two, and a program that is executed would inherit that: `yes | head` would not end.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        process.execve(path, arguments, variables)
    except KernelError as error:
        if error.errno == errno.ENOENT:
            raise InitError("command", f"{name}: its interpreter or loader is missing in the image", 127) from None
        reason = "it has no #! line and is not for this machine" if error.errno == errno.ENOEXEC else error.strerror
        raise InitError("command", f"{name}: cannot be executed: {reason}", 126) from None
