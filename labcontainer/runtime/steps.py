"""The steps by which an init makes its root: data that says what it will do, and does it.

Each step has ``why`` (one sentence), ``describe()`` (the calls, as one would write them) and ``execute(held)``. `plan`
puts them in order; ``held`` carries the mount trees that are picked up before the root changes and put down after it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from labcontainer.errors import SpecError
from labcontainer.kernel import file, mount, namespaces, netlink, pivot, process
from labcontainer.kernel.mount import MountAttr, MountFlag, OpenTreeFlag, Tree
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.kernel.notation import flag_names
from labcontainer.kernel.overlay import Overlay
from labcontainer.runtime import copy_up, mountpoint, new_tree
from labcontainer.runtime.mount_options import Change

Held = dict[str, Tree]


class Step(Protocol):
    """One job of init."""

    @property
    def why(self) -> str:
        """Why the job is done: one sentence for the trace and for ``lab explain``."""
        ...

    def describe(self) -> str:
        """The job as one would write it in C."""
        ...

    def execute(self, held: Held) -> None:
        """Do it, as init, inside the new namespaces. Raises: KernelError, SpecError."""
        ...


@dataclass(frozen=True, slots=True)
class SetPropagation:
    """Cut the new mount namespace off from the host's."""

    flags: MountFlag
    why: str = "what is mounted from here on must not appear on the host"

    def describe(self) -> str:
        return f'mount(NULL, "/", NULL, {flag_names(self.flags)}, NULL)'

    def execute(self, held: Held) -> None:
        mount.set_propagation("/", self.flags)


@dataclass(frozen=True, slots=True)
class MountRoot:
    """Mount the image's layers and the container's own upperdir as its root."""

    overlay: Overlay
    target: Path
    why: str = "the image's layers stay as they are; every change goes to the container's upperdir"

    def describe(self) -> str:
        return f'mount("overlay", "{self.target}", "overlay", 0, "{self.overlay.options()}")'

    def execute(self, held: Held) -> None:
        self.overlay.mount(self.target)


@dataclass(frozen=True, slots=True)
class BindRoot:
    """Make an ordinary directory a mount point, so that it can become the root."""

    target: Path
    why: str = "pivot_root asks for a mount point"

    def describe(self) -> str:
        return f'mount("{self.target}", "{self.target}", NULL, MS_BIND|MS_REC, NULL)'

    def execute(self, held: Held) -> None:
        mount.mount(self.target, self.target, None, MountFlag.MS_BIND | MountFlag.MS_REC)


@dataclass(frozen=True, slots=True)
class PickUp:
    """Take hold of a file or directory of the host that is to appear inside."""

    source: str
    destination: str
    recursive: bool = True
    why: str = "the host's path is opened while it still means the host's: no link inside can redirect it"

    def describe(self) -> str:
        return f'open_tree(AT_FDCWD, "{self.source}", {flag_names(self._flags())})'

    def execute(self, held: Held) -> None:
        held[self.destination] = mount.open_tree(self.source, self._flags())

    def _flags(self) -> OpenTreeFlag:
        return OpenTreeFlag.OPEN_TREE_CLONE | (OpenTreeFlag.AT_RECURSIVE if self.recursive else OpenTreeFlag(0))


@dataclass(frozen=True, slots=True)
class PickUpElsewhere:
    """Take hold of what another container has mounted: what a mount namespace has, only its own processes can copy."""

    namespace: str
    source: str
    destination: str
    why: str = "the other container's mount is shared, as its IPC namespace is"

    def describe(self) -> str:
        return (
            f'setns("{self.namespace}", CLONE_NEWNS); open_tree(AT_FDCWD, "{self.source}", OPEN_TREE_CLONE); setns(…)'
        )

    def execute(self, held: Held) -> None:
        theirs = os.open(self.namespace, os.O_RDONLY | os.O_CLOEXEC)
        ours = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            namespaces.setns(theirs, CloneFlag.CLONE_NEWNS)
            try:
                held[self.destination] = mount.open_tree(self.source, OpenTreeFlag.OPEN_TREE_CLONE)
            finally:
                namespaces.setns(ours, CloneFlag.CLONE_NEWNS)
        finally:
            os.close(theirs)
            os.close(ours)


@dataclass(frozen=True, slots=True)
class EnterRoot:
    """Change the root; the old one stays stacked beneath until LeaveOldRoot."""

    new_root: Path
    why: str = "from here on every path, and every link in the image, is resolved inside the new root"

    def describe(self) -> str:
        return f'chdir("{self.new_root}"); pivot_root(".", ".")'

    def execute(self, held: Held) -> None:
        pivot.enter(self.new_root)


@dataclass(frozen=True, slots=True)
class MountFilesystem:
    """Mount a new file system inside; its mount point is made if it is missing."""

    type: str
    destination: str
    source: str
    flags: MountFlag
    data: str = ""
    why: str = "the container needs an instance of its own"
    below: Change = Change()
    propagation: MountFlag = MountFlag(0)
    copy_up: bool = False

    def describe(self) -> str:
        return f'mount("{self.source}", "{self.destination}", "{self.type}", {flag_names(self.flags)}, "{self.data}")'

    def execute(self, held: Held) -> None:
        if self.type in ("proc", "sysfs"):
            refuse_link(self.destination)
        known = os.path.isdir(self.destination)
        with mountpoint.made(self.destination) as point:
            data = self._with_mode(point) if known else self.data
            if self.copy_up or self.below or self.propagation:
                self._put_down(point, data)
            else:
                process.fchdir(point)
                mount.mount(self.source, ".", self.type, self.flags, data or None)

    def _put_down(self, point: int, data: str) -> None:
        """Where there is more to do than mount(2) does, to the tree: its path may lead elsewhere meanwhile."""
        below = self.below
        if self.copy_up:
            tree = new_tree.create(self.type, self.source, self.flags & ~MountFlag.MS_RDONLY, data)
            below = below.then(new_tree.attributes(self.flags & MountFlag.MS_RDONLY), MountAttr(0))
        else:
            tree = new_tree.create(self.type, self.source, self.flags, data)
        try:
            if self.copy_up:
                copy_up.copy(point, tree.fd)
            mount.move_mount(tree, point)
            if below:
                mountpoint.set_attributes(tree, below, recursive=True)
            if self.propagation:
                mountpoint.set_propagation(tree, self.propagation)
        finally:
            tree.close()

    def _with_mode(self, point: int) -> str:
        """As runc does it, a tmpfs has its directory's mode: /tmp stays everybody's, and /root does not become so."""
        if self.type != "tmpfs" or "mode=" in self.data:
            return self.data
        mode = f"mode={stat.S_IMODE(os.fstat(point).st_mode):o}"
        return f"{self.data},{mode}" if self.data else mode


@dataclass(frozen=True, slots=True)
class PutDown:
    """Put a tree that was picked up at its place inside; `here` changes its topmost mount, `below` all of them."""

    source: str
    destination: str
    here: Change = Change()
    below: Change = Change()
    propagation: MountFlag = MountFlag(0)
    why: str = "a bind mount: the same files under a second path"

    def describe(self) -> str:
        text = f'move_mount("{self.source}", "{self.destination}")'
        for change, flags in ((self.here, ""), (self.below, ", AT_RECURSIVE")):
            text += f"; mount_setattr({flag_names(change.set)}{flags})" if change else ""
        return text

    def execute(self, held: Held) -> None:
        tree = held.pop(self.destination)
        try:
            with mountpoint.made(self.destination, tree) as point:
                mount.move_mount(tree, point)
            if self.here:
                mountpoint.set_attributes(tree, self.here)
            if self.below:
                mountpoint.set_attributes(tree, self.below, recursive=True)
            if self.propagation:
                mountpoint.set_propagation(tree, self.propagation)
        finally:
            tree.close()


@dataclass(frozen=True, slots=True)
class MakeDevice:
    """Make a device node in the container's own /dev."""

    path: str
    mode: int
    device: int
    uid: int = 0
    gid: int = 0
    why: str = "programs expect it; no other device of the host is there"

    def describe(self) -> str:
        kind = "S_IFBLK" if stat.S_ISBLK(self.mode) else "S_IFCHR"
        number = f"{os.major(self.device)}:{os.minor(self.device)}"
        return f'mknod("{self.path}", {kind}|{stat.S_IMODE(self.mode):#o}, {number})'

    def execute(self, held: Held) -> None:
        file.make_directories(os.path.dirname(self.path))
        file.mknod(self.path, self.mode, self.device)
        file.chmod(self.path, stat.S_IMODE(self.mode))
        file.chown(self.path, self.uid, self.gid)


@dataclass(frozen=True, slots=True)
class MakeLink:
    """Make one of the symbolic links that programs expect in /dev."""

    target: str
    path: str
    why: str = "programs expect the name"

    def describe(self) -> str:
        return f'symlink("{self.target}", "{self.path}")'

    def execute(self, held: Held) -> None:
        if not os.path.lexists(self.path):
            file.symlink(self.target, self.path)


@dataclass(frozen=True, slots=True)
class Mask:
    """Hide a path of /proc or /sys: a directory under an empty read-only tmpfs, a file under /dev/null."""

    path: str
    why: str = "what stands there would tell about the host, or let it be changed"

    def describe(self) -> str:
        return f'mask("{self.path}")'

    def execute(self, held: Held) -> None:
        if not os.path.exists(self.path):
            return
        with mountpoint.there(self.path) as point:
            if stat.S_ISDIR(os.fstat(point).st_mode):
                process.fchdir(point)
                mount.mount("tmpfs", ".", "tmpfs", MountFlag.MS_RDONLY, "size=0k")
            else:
                with null_device() as null:
                    mountpoint.cover(null, point)


@dataclass(frozen=True, slots=True)
class MakeReadonly:
    """Make a path of /proc or /sys, or the whole root, read-only."""

    path: str
    why: str = "reading is needed, writing would reach the host"

    def describe(self) -> str:
        return f'mount_setattr("{self.path}", MOUNT_ATTR_RDONLY)'

    def execute(self, held: Held) -> None:
        if not os.path.exists(self.path):
            return
        read_only = Change(MountAttr.MOUNT_ATTR_RDONLY)
        with mountpoint.there(self.path) as point:
            if self.path == "/":
                mountpoint.set_attributes(Tree(point), read_only)
            else:
                mountpoint.cover(point, point, read_only, recursive=True)


@dataclass(frozen=True, slots=True)
class LoopbackUp:
    """Switch the loopback interface on."""

    why: str = "a new network namespace has one interface, and it is down"

    def describe(self) -> str:
        return "netlink(RTM_NEWLINK, lo, IFF_UP)"

    def execute(self, held: Held) -> None:
        netlink.set_loopback_up()


@dataclass(frozen=True, slots=True)
class LeaveOldRoot:
    """Let go of the host's files."""

    why: str = "nothing of the host's file system stays reachable but what was put down inside"

    def describe(self) -> str:
        return 'umount2(".", MNT_DETACH); chdir("/")'

    def execute(self, held: Held) -> None:
        pivot.leave_old_root()


def bind_console(terminal: int) -> None:
    """Show the container its terminal as /dev/console, too: by descriptor, never by its name (CVE-2025-52565).

    Raises: KernelError. See: runtime-spec v1.2.0 config-linux.md#default-devices
    """
    tree = mount.open_tree(terminal, OpenTreeFlag.OPEN_TREE_CLONE)
    try:
        with mountpoint.made("/dev/console", tree) as point:
            mount.move_mount(tree, point)
    finally:
        tree.close()


@contextlib.contextmanager
def null_device() -> Iterator[int]:
    """The null device inside: no link that stands in its place, nor another file (CVE-2025-31133)."""
    fd = os.open("/dev/null", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISCHR(status.st_mode) or status.st_rdev != os.makedev(1, 3):
            raise SpecError("/dev/null inside the container is not the null device: refusing to mask paths with it")
        yield fd
    finally:
        os.close(fd)


def refuse_link(path: str) -> None:
    """A link at /proc or /sys would put them elsewhere and leave masked paths open (CVE-2019-19921)."""
    if os.path.realpath(path) != path:
        raise SpecError(f"{path} of the image is reached through a symbolic link: refusing to mount there")
