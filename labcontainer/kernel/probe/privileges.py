"""Trials: giving privilege away, and having some to give."""

from __future__ import annotations

import errno
import os
import resource

from labcontainer.errors import HostError, KernelError
from labcontainer.kernel import capabilities, keyring, proc, process, seccomp
from labcontainer.kernel.capabilities import ALL, DOCKER_DEFAULT, Capability
from labcontainer.kernel.probe import remedy, stand
from labcontainer.kernel.probe.place import Place
from labcontainer.kernel.probe.report import STARTS_CONTAINERS, Status
from labcontainer.kernel.probe.trial import Outcome, Trial
from labcontainer.kernel.process import Prctl

# What the engine itself does as root.
_NEEDED = DOCKER_DEFAULT | {Capability.CAP_SYS_ADMIN, Capability.CAP_NET_ADMIN}
_LIBSECCOMP = {"fedora": "libseccomp", "rhel": "libseccomp", "arch": "libseccomp", "alpine": "libseccomp"}
_REFUSING = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["sched_yield"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV}],
}


def trials(place: Place) -> tuple[Trial, ...]:
    """Capabilities, seccomp and their like.

    See: man 7 capabilities, man 2 seccomp
    """
    soft = Status.DEGRADED
    return (
        Trial("capabilities", "capabilities: pieces of root's power", ("10",), _capabilities),
        Trial("no-new-privs", "no_new_privs: no way back to privilege", ("10",), _no_new_privs),
        Trial("seccomp", "seccomp: a filter for system calls", STARTS_CONTAINERS, _seccomp, mend=_mend_seccomp),
        Trial("keyring", "a keyring for each container", ("10",), _keyring, soft),
        Trial("rlimits", "raising a hard limit (--ulimit)", (), _rlimits, soft, _mend_rlimits),
    )


def _capabilities(place: Place) -> str | Outcome:
    if not place.root:
        stand.in_user_namespace()
    held = capabilities.read()
    missing = _NEEDED - held.effective
    if missing:
        names = ", ".join(sorted(capability.name for capability in missing))
        status = Status.NO if Capability.CAP_SYS_ADMIN in missing else Status.DEGRADED
        return Outcome(status, f"{names} not held by {place.user}", remedy.more_privilege(place))
    absent = ", ".join(sorted(capability.name for capability in ALL - held.effective))
    where = "are held" if place.root else "are held inside a user namespace"
    return f"{len(held.effective)} of {len(ALL)} {where}" + (f" (not {absent})" if absent else "")


def _no_new_privs(place: Place) -> str:
    process.prctl(Prctl.PR_SET_NO_NEW_PRIVS, 1)
    if proc.status()["NoNewPrivs"] != "1":
        raise HostError("no_new_privs", reason="it was set, and /proc/self/status does not show it")
    return "a child set it, and /proc/self/status showed it"


def _seccomp(place: Place) -> str | Outcome:
    try:
        program = seccomp.compile(_REFUSING)
    except HostError as error:
        mend = error.remedy if "pip" in error.remedy else remedy.package(place, "libseccomp2", **_LIBSECCOMP)
        return Outcome(Status.NO, error.reason, mend)
    process.prctl(Prctl.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.load(program)
    try:
        os.sched_yield()
    except OSError as error:
        if error.errno == errno.EXDEV:
            return "a child's filter answered a system call with the errno that it was told"
        raise
    raise HostError("seccomp", reason="a filter was loaded, and the call that it forbids was made")


def _mend_seccomp(error: OSError, place: Place) -> str:
    if error.errno in (errno.EINVAL, errno.ENOSYS):
        return "start a Linux kernel that was built with CONFIG_SECCOMP_FILTER=y"
    return remedy.general(error, place)


def _keyring(place: Place) -> str:
    return f"a child joined the new session keyring {keyring.join_session_keyring()}"


def _rlimits(place: Place) -> str:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 1))
    except ValueError:
        # Python's way to say EPERM here.
        raise KernelError(errno.EPERM, "setrlimit(RLIMIT_CORE, {rlim_cur=0, rlim_max=1})") from None
    return "a child raised a hard limit that it had lowered"


def _mend_rlimits(error: OSError, place: Place) -> str:
    if not place.root:
        return "sudo sh -c 'echo \"* hard nofile 1048576\" >> /etc/security/limits.conf', and log in again"
    if place.container:
        return remedy.more_privilege(place)
    return "start this session with CAP_SYS_RESOURCE (grep CapBnd /proc/1/status shows who lacks it); lowering works"
