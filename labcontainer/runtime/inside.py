"""Standing in a container's root, as ``docker cp`` shows it: its root file system and its volumes, no /proc, no tmpfs.

A container that runs                           one that does not
  join its user and mount namespace (pidfd)       a user namespace with its id maps, when rootless
  a mount namespace of our own                    a mount namespace of our own
  a copy of its root's mount, alone               its overlay: lowerdirs, upperdir, workdir
  copies of its volumes' mounts                   its bind mounts
  pivot_root, let go of all that was              pivot_root, let go of all that was

A path taken apart on the host can be changed between the look and the use (CVE-2018-15664). Here every path, every link
and every ``..`` is resolved by the Linux kernel in a namespace in which no file of the host has a name.

Who we are: a helper with one thread, started for this alone. All that it needs is imported before: what is loaded in
here would be the container's (CVE-2019-14271).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from labcontainer.errors import HostError, KernelError, StateError
from labcontainer.kernel import capabilities, mount, namespaces, pivot, process, userns
from labcontainer.kernel.capabilities import Capability
from labcontainer.kernel.mount import MountFlag, MoveMountFlag, OpenTreeFlag, Tree
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.kernel.overlay import Overlay
from labcontainer.oci.bundle import Bundle
from labcontainer.oci.runtime_spec import Mount, Spec
from labcontainer.runtime import plan, state
from labcontainer.runtime.state import ProcessId
from labcontainer.runtime.steps import Held

# What reading and writing files of every owner needs, and nothing that could lead out of the root.
_KEPT = frozenset(
    {
        Capability.CAP_CHOWN,
        Capability.CAP_DAC_OVERRIDE,
        Capability.CAP_DAC_READ_SEARCH,
        Capability.CAP_FOWNER,
        Capability.CAP_FSETID,
        Capability.CAP_MKNOD,
        Capability.CAP_SETFCAP,
    }
)

_LOOK_AGAIN_S = 0.02


@dataclass(frozen=True, slots=True)
class Place:
    """The container to stand in: its bundle, its layers (topmost first), and its init where one lives.

    Without `volumes` what is bound into the root is left out, and the directories below the mounts are seen.
    """

    id: str
    directory: str
    lowerdirs: tuple[str, ...]
    init: ProcessId | None
    volumes: bool = True

    def to_json(self) -> dict[str, Any]:
        """The place as a message's fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Place:
        """The inverse of `to_json`."""
        init = fields["init"]
        known = {**fields, "lowerdirs": tuple(fields["lowerdirs"]), "init": ProcessId(**init) if init else None}
        return cls(**known)


def enter(place: Place) -> int:
    """Make the container's root this process's, for good; returns the descriptor that keeps others out, or -1.

    Needs: a process with one thread, of the user whose container it is.
    Raises: StateError (it has just started, or ended: look again), KernelError, HostError.
    See: man 2 setns, man 2 open_tree, man 2 pivot_root
    """
    spec = Bundle(Path(place.directory)).read()
    volumes = [each for each in spec.mounts if is_volume(each)] if place.volumes else []
    rootless = _rootless(spec)
    lock = -1
    if place.init is not None:
        _join(place, place.init, rootless=rootless)
        _copy_root([each.destination for each in volumes])
    else:
        lock = _hold_alone(place)
        if rootless:
            _become_owner()
        namespaces.unshare(CloneFlag.CLONE_NEWNS)
        _mount_root(place, spec, volumes, rootless=rootless)
    _give_up_privileges()
    return lock


def is_volume(each: Mount) -> bool:
    """Whether a mount shows files that ``docker cp`` copies too: those of a bind mount outside of the system's own.

    See: https://docs.docker.com/reference/cli/docker/container/cp/ (Corner cases)
    """
    system = ("/proc", "/sys", "/dev")
    return plan.is_bind(each) and not any(Path(each.destination).is_relative_to(root) for root in system)


def join_user(place: Place) -> None:
    """Become the root of the container's user namespace, if it has one of its own, and see the host's files as it.

    Needs: as `enter`. Raises: StateError, KernelError, HostError. See: man 2 setns, man 7 user_namespaces
    """
    if not _rootless(Bundle(Path(place.directory)).read()):
        return
    if place.init is None:
        _become_owner()
        return
    with _held(place, place.init) as pidfd:
        namespaces.setns(pidfd, CloneFlag.CLONE_NEWUSER)


def _rootless(spec: Spec) -> bool:
    return any(each.type == "user" for each in spec.linux.namespaces) if spec.linux else False


def _become_owner() -> None:
    """Enter a new user namespace with the maps that a container of this user has."""
    ready_read, ready_write = os.pipe2(os.O_CLOEXEC)
    done_read, done_write = os.pipe2(os.O_CLOEXEC)
    target = os.getpid()
    child = process.fork()
    if child == 0:
        # We are the helper's child and stay outside: only from there can the map be written.
        os.close(ready_write)
        os._exit(_write_maps(target, ready_read, done_write))
    os.close(done_write)
    namespaces.unshare(CloneFlag.CLONE_NEWUSER)
    os.close(ready_write)
    refusal = b"".join(iter(lambda: os.read(done_read, 4096), b"")).decode(errors="replace")
    os.waitpid(child, 0)
    for fd in (ready_read, done_read):
        os.close(fd)
    if refusal:
        raise HostError("the container's user ids", reason=refusal)


def _write_maps(target: int, ready: int, done: int) -> int:
    os.read(ready, 1)  # its end: the namespace has been made
    try:
        userns.write_maps(target, userns.own_maps())
    except (KernelError, HostError) as error:
        os.write(done, str(error).encode())
    return 0


@contextlib.contextmanager
def _held(place: Place, init: ProcessId) -> Iterator[int]:
    gone = StateError(place.id, "stopped", "enter")
    try:
        pidfd = process.pidfd_open(init.pid)
    except KernelError:
        raise gone from None
    try:
        if not init.alive():  # asked after the pidfd was opened: the number cannot be somebody else's any more
            raise gone
        yield pidfd
    except OSError as error:
        if error.errno in (errno.ESRCH, errno.ENOENT):
            raise gone from None
        raise
    finally:
        os.close(pidfd)


def _join(place: Place, init: ProcessId, *, rootless: bool) -> None:
    with _held(place, init) as pidfd:
        # In one call: the user namespace gives the privilege that joining the other needs.
        user = CloneFlag.CLONE_NEWUSER if rootless else CloneFlag(0)
        namespaces.setns(pidfd, user | CloneFlag.CLONE_NEWNS)


def hold_root(directory: Path, *, wait: bool = True) -> int:
    """Be the only one who mounts the overlay of `directory`, until the returned descriptor is closed; -1: another is.

    Two overlays with one upperdir would not see each other's changes. A monitor holds it for as long as it looks after
    the container, a helper while it stands in one that does not run. See: man 2 flock
    """
    fd = os.open(Bundle(directory).rootfs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(fd)
        return -1
    return fd


def _hold_alone(place: Place) -> int:
    directory = Path(place.directory)
    while (fd := hold_root(directory, wait=False)) < 0:
        now = state.observe(directory)
        if now.init is not None and now.init.alive():
            raise StateError(place.id, now.status, "enter")
        time.sleep(_LOOK_AGAIN_S)
    return fd


def _copy_root(volumes: list[str]) -> None:
    # In a namespace of our own first: what we mount must not appear in the container.
    namespaces.unshare(CloneFlag.CLONE_NEWNS)
    mount.set_propagation("/", MountFlag.MS_REC | MountFlag.MS_PRIVATE)
    root = mount.open_tree("/", OpenTreeFlag.OPEN_TREE_CLONE)
    bound = [(path, tree) for path in volumes if (tree := _volume(path)) is not None]
    mount.move_mount(root, "/")
    os.fchdir(root.fd)
    pivot.pivot_root(".", ".")
    pivot.leave_old_root()
    for path, tree in bound:
        mount.move_mount(tree, path, MoveMountFlag.MOVE_MOUNT_T_SYMLINKS)
        tree.close()
    root.close()


def _volume(path: str) -> Tree | None:
    try:
        return mount.open_tree(path, OpenTreeFlag.OPEN_TREE_CLONE | OpenTreeFlag.AT_RECURSIVE)
    except KernelError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None  # the container has moved the way to it
        raise


def _mount_root(place: Place, spec: Spec, volumes: list[Mount], *, rootless: bool) -> None:
    directory = Path(place.directory)
    layers = tuple(Path(path) for path in place.lowerdirs)
    overlay = Overlay(layers, directory / "upper", directory / "work", userxattr=rootless) if layers else None
    # The container's own plan, of which only root and volumes are left.
    alone = replace(spec, mounts=tuple(volumes), linux=None)
    held: Held = {}
    for step in plan.root(alone, Bundle(directory).rootfs, overlay):
        step.execute(held)


def _give_up_privileges() -> None:
    process.prctl(process.Prctl.PR_SET_NO_NEW_PRIVS, 1)
    process.prctl(process.Prctl.PR_SET_DUMPABLE, process.Dumpable.SUID_DUMP_DISABLE)
    effective, _, _ = capabilities.capget()
    kept = _KEPT & effective
    capabilities.capset(kept, kept)


def load_nothing_more() -> None:
    """From here on an import fails: what it would find is a file of the container.

    See: https://nvd.nist.gov/vuln/detail/CVE-2019-14271
    """
    sys.path.clear()
    sys.meta_path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()
