"""Trials: user namespaces, and the ids that they map."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

from labcontainer.errors import KernelError
from labcontainer.kernel import mount, namespaces, process, userns
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.kernel.probe import remedy, stand
from labcontainer.kernel.probe.place import Place
from labcontainer.kernel.probe.report import STARTS_CONTAINERS, Status
from labcontainer.kernel.probe.trial import Outcome, Trial, start
from labcontainer.kernel.proc import IdRange
from labcontainer.kernel.process import Dumpable, Prctl
from labcontainer.kernel.userns import IdMaps

_NOBODY = 65534
_WHOLE = IdMaps((IdRange(0, 100000, 65536),), (IdRange(0, 100000, 65536),))
_UIDMAP = {
    "fedora": "shadow-utils",
    "rhel": "shadow-utils",
    "suse": "shadow",
    "arch": "shadow",
    "alpine": "shadow-subids",
}
_ADD_RANGES = "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
# For an ordinary user everything begins with a user namespace; root meets it in the lesson about it.
_EVERYTHING = tuple(sorted({*STARTS_CONTAINERS, "03", "04"}))


def trials(place: Place) -> tuple[Trial, ...]:
    """What stands between an ordinary user and containers.

    See: man 7 user_namespaces
    """
    lessons = ("10",) if place.root else _EVERYTHING
    missed = Status.DEGRADED if place.root else Status.NO
    many = ("10",) if place.root else ("00", "10")  # root has other users without a namespace
    title = "user namespaces without root"
    return (
        Trial("namespace-user", "user namespace: its own root", lessons, _make, mend=_mend),
        Trial("userns-unprivileged", title, lessons, _unprivileged, failure=missed, mend=_mend_unprivileged),
        Trial("uid-single", "user namespace with a single id", lessons, _single, mend=_mend),
        Trial("uid-ranges", "user namespace with ranges of ids", many, _ranges, failure=Status.DEGRADED, mend=_mend),
    )


def _make(place: Place) -> str:
    before = namespaces.inode("self", "user")
    namespaces.unshare(CloneFlag.CLONE_NEWUSER)
    return f"a child was in user:[{namespaces.inode('self', 'user')}], not in user:[{before}]"


def _single(place: Place) -> str:
    uid = os.geteuid()
    stand.in_user_namespace()
    return f"user {uid} was user {os.geteuid()} inside, where there is no other"


def _unprivileged(place: Place) -> str:
    uid = _NOBODY if place.root else os.geteuid()
    if place.root:
        _become_nobody()
    stand.in_user_namespace()
    # AppArmor lets some systems' users make the namespace, and then refuses to them what it is good for.
    stand.private(CloneFlag.CLONE_NEWNS)
    mount.mount("none", "/", "tmpfs")
    return f"user {uid} became root inside and mounted a file system there"


def _become_nobody() -> None:
    try:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    except OSError as error:
        # In a sandbox root may be the only user that there is.
        raise KernelError(error.errno or 0, f"becoming user {_NOBODY}") from None
    # After a change of user /proc/self belongs to root, and with it the maps that we must write.
    process.prctl(Prctl.PR_SET_DUMPABLE, Dumpable.SUID_DUMP_USER)


def _ranges(place: Place) -> str | Outcome:
    maps = _WHOLE if place.root else userns.own_maps()
    if maps.single:
        return _no_ranges(place)
    pid, made = os.getpid(), os.eventfd(0)

    def write_maps() -> None:
        os.eventfd_read(made)
        userns.write_maps(pid, maps)

    # Only somebody outside may map more than one id, so a child stays there and does it for us.
    outside = start(write_maps)
    namespaces.unshare(CloneFlag.CLONE_NEWUSER)
    os.eventfd_write(made, 1)
    outside.answer()
    os.setresuid(1, 1, 1)
    return f"a child became user 1 inside, with {sum(row.length for row in maps.uids)} ids mapped"


def _no_ranges(place: Place) -> Outcome:
    if not userns.has_map_programs():
        why = "newuidmap and newgidmap are not installed"
        return Outcome(Status.DEGRADED, why, remedy.package(place, "uidmap", **_UIDMAP))
    why = f"{userns.SUBUID} and {userns.SUBGID} grant no ids to {place.user}"
    return Outcome(Status.DEGRADED, why, _ADD_RANGES.format(user=place.user))


def _mend(error: OSError, place: Place) -> str:
    return remedy.limit_of("user") if error.errno == errno.ENOSPC else remedy.general(error, place)


def _mend_unprivileged(error: OSError, place: Place) -> str:
    # The one that is refused is not root here, even where root asks: then ordinary users' settings are what counts.
    return _mend(error, replace(place, root=False))
