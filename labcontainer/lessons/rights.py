"""With whose rights a cell's process runs: what ``%%child --userns`` and ``--root`` mean, and how to be somebody else.

    --userns   root of a user namespace in which nobody else exists; outside of it still the notebook's user
    --root     root among other users: the real one, where the notebook is root's; else of a user namespace that
               holds the user's range of ids. Either way with mounts of its own

All of it changes the calling process, which must have one thread. Lesson 10 teaches user namespaces.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from typing import NoReturn

from labcontainer.errors import HostError, LabError
from labcontainer.kernel import mount, namespaces, proc, process, userns
from labcontainer.kernel.mount import MountFlag
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.kernel.userns import IdMaps
from labcontainer.runtime import fault

# The ids with which lessons experiment. Distributions give none of them to a person or a service.
# See: https://systemd.io/UIDS-GIDS/
OTHERS = range(61000, 61100)


def enter_user_namespace() -> None:
    """Become root of a new user namespace that holds nobody but oneself.

    Raises: KernelError (EPERM, ENOSPC: they are refused or used up here). See: man 7 user_namespaces
    """
    maps = userns.own_maps(ranges=False)  # asked before: inside, we are nobody until the map is written
    namespaces.unshare(CloneFlag.CLONE_NEWUSER)
    userns.write_maps(os.getpid(), maps)


def become_root() -> None:
    """Be root, with the right to become anyone in `OTHERS`, and with mounts of one's own.

    Raises: HostError (there are no other users), KernelError. See: man 7 user_namespaces
    """
    if os.geteuid() != 0:
        _enter_with_ranges()
    if not all(_holds_others(kind) for kind in ("uid", "gid")):
        raise HostError(
            "other users than you",
            reason="the user namespace that you are in does not have them",
            remedy="start the notebook outside of it",
        )
    namespaces.unshare(CloneFlag.CLONE_NEWNS)
    # Root's mounts would else show up in the host's mount namespace, and stay there.
    mount.set_propagation("/", MountFlag.MS_PRIVATE | MountFlag.MS_REC)


def become(uid: int, *, gid: int | None = None, groups: Sequence[int] = ()) -> None:
    """Be the user `uid`, with the group `gid` (else one of the same number), also a member of `groups`, for good.

    Needs: CAP_SETUID and CAP_SETGID. Raises: OSError. See: man 7 credentials
    """
    gid = uid if gid is None else gid
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    # After a change of user /proc/self belongs to root, and with it the maps of a user namespace that we might make.
    process.prctl(process.Prctl.PR_SET_DUMPABLE, process.Dumpable.SUID_DUMP_USER)


def _enter_with_ranges() -> None:
    maps = userns.own_maps()
    if maps.single:
        from labcontainer.kernel import probe  # it has to ask the machine only where something is missing

        finding = probe.run().finding("uid-ranges")
        raise HostError("other users than you", reason=finding.why, remedy=finding.remedy)
    me, (ours, theirs) = os.getpid(), socket.socketpair()
    with ours, theirs:
        pid = process.fork()
        if pid == 0:
            ours.close()
            _write_maps(me, maps, theirs)
        theirs.close()
        namespaces.unshare(CloneFlag.CLONE_NEWUSER)
        ours.send(b"entered")
        problem = ours.recv(65536)
    os.waitpid(pid, 0)
    if problem:
        raise fault.from_json(json.loads(problem))
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _write_maps(pid: int, maps: IdMaps, other: socket.socket) -> NoReturn:
    # We stay outside, with the user's rights: only from there may newuidmap map more than one id.
    try:
        if other.recv(16):
            userns.write_maps(pid, maps)
    except LabError as error:
        other.send(json.dumps(fault.to_json(error)).encode())
    finally:
        os._exit(0)


def _holds_others(kind: str) -> bool:
    return any(
        row.inside <= OTHERS.start and OTHERS.stop <= row.inside + row.length for row in proc.id_map("self", kind)
    )
