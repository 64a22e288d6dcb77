"""Trials: file systems and roots."""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from labcontainer.errors import KernelError
from labcontainer.kernel import mount, pivot
from labcontainer.kernel.mount import MountAttr, MountFlag, OpenTreeFlag
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.kernel.overlay import Overlay
from labcontainer.kernel.probe import remedy, stand
from labcontainer.kernel.probe.place import Place
from labcontainer.kernel.probe.report import STARTS_CONTAINERS, Status
from labcontainer.kernel.probe.trial import Outcome, Trial, apart

Mend = Callable[[OSError, Place], str]

_MOUNTS, _PROCESSES, _NET = CloneFlag.CLONE_NEWNS, CloneFlag.CLONE_NEWPID, CloneFlag.CLONE_NEWNET


def trials(place: Place) -> tuple[Trial, ...]:
    """What a container's root is built of; root tries what ordinary users would need here, too.

    See: man 2 mount, man 2 pivot_root
    """
    return (
        Trial(
            "overlay", "overlay: layers below a writable one", (*STARTS_CONTAINERS, "04"), _overlay, mend=_mend_overlay
        ),
        *(_for_ordinary_users() if place.root else ()),
        Trial("pivot-root", "pivot_root: a root of its own", (*STARTS_CONTAINERS, "03"), _pivot_root),
        Trial("mount-api", "mounts as descriptors (open_tree, move_mount)", STARTS_CONTAINERS, _move_mount),
        Trial("mount-setattr", "read-only and no-exec on mounts (mount_setattr)", STARTS_CONTAINERS, _mount_setattr),
        Trial("procfs", "/proc of a PID namespace", STARTS_CONTAINERS, functools.partial(_own, "proc"), mend=_mend_own),
        Trial(
            "sysfs",
            "/sys of a network namespace",
            ("11",),
            functools.partial(_own, "sysfs"),
            Status.DEGRADED,
            _mend_own,
        ),
        Trial("devpts", "terminals of its own (devpts)", ("07",), functools.partial(_in_mounts, _devpts)),
    )


def _for_ordinary_users() -> tuple[Trial, ...]:
    procfs = functools.partial(_in_user_namespace, functools.partial(_own, "proc"))
    overlay = functools.partial(_in_user_namespace, _overlay)
    soft = Status.DEGRADED
    return (
        Trial("overlay-userns", "overlay in a user namespace", ("10",), overlay, soft, _mend_inside(_mend_overlay)),
        Trial("procfs-userns", "/proc in a user namespace", ("10",), procfs, soft, _mend_inside(_mend_own)),
    )


def _in_user_namespace(attempt: Callable[[Place], str | Outcome], place: Place) -> str | Outcome:
    return attempt(replace(place, root=False))


def _mend_inside(mend: Mend) -> Mend:
    return lambda error, place: mend(error, replace(place, root=False))


def _in_mounts(act: Callable[[Path], str], place: Place) -> str:
    # In memory, so that nothing is left of it, and writable by whoever we are inside.
    stand.in_namespaces(place, _MOUNTS)
    mount.mount("none", "/tmp", "tmpfs")
    return act(Path("/tmp"))


def _overlay(place: Place) -> str | Outcome:
    above = place.state if os.access(place.state, os.W_OK | os.X_OK) else None
    with stand.directory(above) as directory:
        try:
            return apart(lambda: _write_through(directory, place))
        except KernelError as error:
            refused = error
    # Does it fail because of the file system that the state is on, or does it fail everywhere?
    try:
        apart(lambda: _in_mounts(lambda memory: _mount_overlay(memory, place), place))
    except OSError:
        raise refused from None
    name = errno.errorcode[refused.errno or 0]
    why = f"an upperdir on the file system of {directory.parent} was refused with {name}; on a tmpfs it works"
    return Outcome(Status.NO, why, "export LABCONTAINER_ROOT=/a/directory on ext4, xfs, btrfs or tmpfs")


def _write_through(directory: Path, place: Place) -> str:
    stand.in_namespaces(place, _MOUNTS)
    return _mount_overlay(directory, place)


def _mount_overlay(directory: Path, place: Place) -> str:
    lower, upper, work, merged = (directory / name for name in ("lower", "upper", "work", "merged"))
    for path in (lower, upper, work, merged):
        path.mkdir()
    (lower / "below").write_text("a layer's")
    Overlay((lower,), upper, work, userxattr=not place.root).mount(merged)
    with open(merged / "below", "a") as file:
        file.write(" changed")
    (merged / "below").chmod(0o600)
    assert (upper / "below").read_text() == "a layer's changed"
    return f"a changed file was copied up from the layer below ({'userxattr' if not place.root else 'as root'})"


def _mend_overlay(error: OSError, place: Place) -> str:
    if error.errno == errno.ENODEV:
        return remedy.module("overlay")
    if error.errno == errno.EPERM and not place.root and _by_mount(error):
        return "start a Linux kernel of 5.11 or later (older ones let only root mount an overlay)"
    return remedy.general(error, place)


def _by_mount(error: OSError) -> bool:
    # Not by the namespaces before it, which is another matter.
    return isinstance(error, KernelError) and error.call.startswith("mount(")


def _pivot_root(place: Place) -> str:
    def act(new_root: Path) -> str:
        (new_root / "inside").touch()
        pivot.enter(new_root)
        pivot.leave_old_root()
        return f"the root of a child became a directory in which there is only {os.listdir('/')[0]!r}"

    return _in_mounts(act, place)


def _move_mount(place: Place) -> str:
    def act(directory: Path) -> str:
        tree = mount.open_tree("/proc", OpenTreeFlag.OPEN_TREE_CLONE | OpenTreeFlag.AT_RECURSIVE)
        mount.move_mount(tree, directory)
        return "a copy of /proc was held by a descriptor and put somewhere else"

    return _in_mounts(act, place)


def _mount_setattr(place: Place) -> str:
    def act(directory: Path) -> str:
        mount.mount_setattr(directory, MountAttr.MOUNT_ATTR_RDONLY)
        try:
            (directory / "written").touch()
        except OSError as error:
            if error.errno == errno.EROFS:
                return "writing to a mount that was made read-only failed with EROFS"
            raise
        raise KernelError(0, "a write to a read-only mount succeeded")

    return _in_mounts(act, place)


def _own(filesystemtype: str, place: Place) -> str:
    stand.in_namespaces(place, _MOUNTS | (_PROCESSES if filesystemtype == "proc" else _NET))
    safe = MountFlag.MS_NOSUID | MountFlag.MS_NODEV | MountFlag.MS_NOEXEC

    def mounted() -> str:
        mount.mount(filesystemtype, "/tmp", filesystemtype, safe)
        if filesystemtype == "sysfs":
            return f"a new /sys shows the interfaces {', '.join(sorted(os.listdir('/tmp/class/net')))}"
        return f"a new /proc shows the processes {', '.join(name for name in os.listdir('/tmp') if name.isdigit())}"

    # The first child of a new PID namespace is its process 1.
    return apart(mounted)


def _mend_own(error: OSError, place: Place) -> str:
    if error.errno == errno.EPERM and place.container in ("docker", "podman") and _by_mount(error):
        # A new /proc must not show what the masks of the old one hide.
        return "start the container around us with --security-opt systempaths=unconfined, or with --privileged"
    return remedy.general(error, place)


def _devpts(directory: Path) -> str:
    mount.mount("devpts", directory, "devpts", data="newinstance,ptmxmode=0666,mode=0620")
    fd = os.open(directory / "ptmx", os.O_RDWR | os.O_NOCTTY)
    os.close(fd)
    return "the first terminal of a new instance was opened"
