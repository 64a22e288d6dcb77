"""Where a user may make cgroups.

root             labcontainer, or $LABCONTAINER_CGROUP, at the top of each hierarchy (inside a container: of what the
                 container sees)
others, v1       labcontainer-UID at the top, which root has made and given to the user
others, v2       the same names below the cgroup in which we stand, if it was delegated to us: only a process that is
                 inside may start others inside
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from labcontainer.errors import HostError

NAME = "labcontainer"
# Names another directory instead, as docker's --cgroup-parent does: two engines on one machine need not share one.
VARIABLE = "LABCONTAINER_CGROUP"
# A cgroup of version 2 that has processes cannot limit its children: ours are moved aside, into this child of it.
ASIDE = "labcontainer-self"
_CORE = frozenset({"memory", "cpu", "pids"})


def bases(tops: Mapping[str, str], own: Callable[[str], Path]) -> dict[str, Path]:
    """A directory for this user's containers in each hierarchy that it may use.

    `tops` are the mount points by controller, version 2's under ``""``, as in what is returned; `own` says in which
    directory of a hierarchy we stand.

    Raises: HostError (feature, the command that delegates). See: https://systemd.io/CGROUP_DELEGATION/
    """
    # access(2) knows of read-only mounts too: root in an unprivileged container has those.
    usable = {}
    for controller, top in tops.items():
        base = _base(controller, top, own)
        if base is not None:
            usable[controller] = base
    needed = _CORE.intersection(tops) or {""}
    if needed - set(usable):
        raise _refusal(tops)
    return usable


def places(tops: Mapping[str, str], path: str) -> dict[str, Path]:
    """The same `path`, from the top of each hierarchy, in those in which this user may make or use it.

    Raises: HostError (feature, the command that delegates). See: runtime-spec v1.2.0 config-linux.md#cgroups-path
    """
    usable = {}
    for controller, top in tops.items():
        place = Path(f"{top}{path}")
        there = next(level for level in (place, *place.parents) if level.exists())
        if os.access(there, os.W_OK):
            usable[controller] = place
    if (_CORE.intersection(tops) or {""}) - set(usable):
        raise _refusal(tops)
    return usable


def _base(controller: str, top: str, own: Callable[[str], Path]) -> Path | None:
    if os.access(top, os.W_OK):
        return Path(top, os.environ.get(VARIABLE, NAME))
    given = f"{top}/{NAME}-{os.geteuid()}"
    if controller and _writable(given):
        return Path(given)
    standing = own(controller)
    standing = standing.parent if standing.name == ASIDE else standing
    return standing / os.environ.get(VARIABLE, NAME) if _writable(str(standing)) else None


def _writable(directory: str) -> bool:
    return os.access(directory, os.W_OK) and os.access(f"{directory}/cgroup.procs", os.W_OK)


def _refusal(tops: Mapping[str, str]) -> HostError:
    user = os.geteuid()
    if user == 0:
        return HostError("resource limits", "start this container with --privileged", "its cgroups are read-only")
    return HostError("resource limits for an ordinary user", remedy(tops, user), "no cgroup is delegated to it")


def remedy(tops: Mapping[str, str], user: int) -> str:
    """The command that gives cgroups to `user`.

    See: https://systemd.io/CGROUP_DELEGATION/, man 7 cgroups (delegation)
    """
    given = f"{NAME}-{user}"
    if set(tops) != {""}:
        # Not version 2's: only who stands below it already may start processes there.
        places = " ".join(sorted({f"{top}/{given}" for controller, top in tops.items() if controller}))
        return f"sudo sh -c 'mkdir -p {places}; chown -R {user} {places}'"
    if os.path.isdir("/run/systemd/system"):
        return "start from the shell that this opens: systemd-run --user --scope -p Delegate=yes bash"
    # The kernel lets a user move a process only where it may write to both cgroups and to what is above them: the
    # shell itself has to be put inside by root.
    switch = 'for c in $(cat cgroup.controllers); do echo "+$c" > cgroup.subtree_control; done'
    return (
        f"sudo sh -c 'cd {tops['']} && {switch}; mkdir -p {given} && chown -R {user} {given}"
        f" && echo $1 > {given}/cgroup.procs' sh $$"
    )
