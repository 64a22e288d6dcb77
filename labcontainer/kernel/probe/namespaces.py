"""Trials: each kind of namespace."""

from __future__ import annotations

import errno
import functools

from labcontainer.errors import HostError
from labcontainer.kernel import namespaces
from labcontainer.kernel.namespaces import NAMESPACES
from labcontainer.kernel.probe import remedy, stand
from labcontainer.kernel.probe.place import Place
from labcontainer.kernel.probe.report import STARTS_CONTAINERS, Status
from labcontainer.kernel.probe.trial import Trial, apart

_TITLES = {
    "mnt": "mount namespace: a container's own file systems",
    "pid": "PID namespace: its own process numbers",
    "uts": "UTS namespace: its own host name",
    "ipc": "IPC namespace: its own shared memory and queues",
    "net": "network namespace: its own interfaces",
    "cgroup": "cgroup namespace: its own view of limits",
    "time": "time namespace: its own clock since boot",
}
# Without these a container is made all the same, and shares the host's.
_OPTIONAL = ("cgroup", "time")
_LESSONS = {"cgroup": ("02",), "time": ("02",), "mnt": (*STARTS_CONTAINERS, "03")}


def trials(place: Place) -> tuple[Trial, ...]:
    """One trial for each kind but the user namespace, which has its own file.

    See: man 7 namespaces
    """
    return tuple(_trial(kind, title) for kind, title in _TITLES.items())


def _trial(kind: str, title: str) -> Trial:
    return Trial(
        id=f"namespace-{kind}",
        title=title,
        lessons=_LESSONS.get(kind, STARTS_CONTAINERS),
        attempt=functools.partial(_make, kind),
        failure=Status.DEGRADED if kind in _OPTIONAL else Status.NO,
        mend=functools.partial(_mend, kind),
    )


def _make(kind: str, place: Place) -> str:
    before = namespaces.inode("self", kind)
    stand.in_namespaces(place, NAMESPACES[kind])
    # A new PID or time namespace is entered by the next child, not by its maker.
    after = apart(lambda: namespaces.inode("self", kind))
    if after == before:
        raise HostError(f"a {kind} namespace", reason=f"unshare succeeded, but a child was still in {kind}:[{before}]")
    return f"a child was in {kind}:[{after}], not in {kind}:[{before}]"


def _mend(kind: str, error: OSError, place: Place) -> str:
    if error.errno == errno.ENOSPC:
        return remedy.limit_of(kind)
    if error.errno == errno.EINVAL:
        return f"start a Linux kernel that has {kind} namespaces (time: 5.6 or later; CONFIG_{kind.upper()}_NS)"
    return remedy.general(error, place)
