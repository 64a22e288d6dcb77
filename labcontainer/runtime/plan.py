"""What an init will do to its mounts and network, in order, before any of it is done.

    >>> for number, step in enumerate(plan.root(spec, bundle.rootfs, snapshot), 1):
    ...     print(number, step.describe(), "—", step.why)

The order matters: sources are picked up while paths mean the host's; then the root changes. /proc and /sys come before
the old root goes, because in a user namespace the Linux kernel mounts a new /proc only while an old one is in sight;
everything else after it, because until then the old root lies on the new one, and a link in the image to ``../etc``
leads to the host's (CVE-2021-30465).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labcontainer.errors import SpecError
from labcontainer.kernel.mount import MountAttr, MountFlag
from labcontainer.kernel.overlay import Overlay
from labcontainer.oci.runtime_spec import Device, Mount, Spec
from labcontainer.runtime import steps
from labcontainer.runtime.steps import Step

_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_BEFORE_OLD_ROOT_GOES = (("proc", "/proc"), ("sysfs", "/sys"))
_LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
    "/dev/ptmx": "pts/ptmx",
}

# Mount options of the specification, each with the flag that it sets or clears.
# See: runtime-spec v1.2.0 config.md#linux-mount-options
_SET = {
    "ro": MountFlag.MS_RDONLY, "nosuid": MountFlag.MS_NOSUID, "nodev": MountFlag.MS_NODEV,
    "noexec": MountFlag.MS_NOEXEC, "sync": MountFlag.MS_SYNCHRONOUS, "dirsync": MountFlag.MS_DIRSYNC,
    "noatime": MountFlag.MS_NOATIME, "nodiratime": MountFlag.MS_NODIRATIME, "relatime": MountFlag.MS_RELATIME,
    "strictatime": MountFlag.MS_STRICTATIME, "bind": MountFlag.MS_BIND, "remount": MountFlag.MS_REMOUNT,
    "rbind": MountFlag.MS_BIND | MountFlag.MS_REC, "nosymfollow": MountFlag.MS_NOSYMFOLLOW,
}  # fmt: skip
_CLEAR = {
    "rw": MountFlag.MS_RDONLY, "suid": MountFlag.MS_NOSUID, "dev": MountFlag.MS_NODEV, "exec": MountFlag.MS_NOEXEC,
    "async": MountFlag.MS_SYNCHRONOUS, "atime": MountFlag.MS_NOATIME, "diratime": MountFlag.MS_NODIRATIME,
    "norelatime": MountFlag.MS_RELATIME, "nostrictatime": MountFlag.MS_STRICTATIME, "defaults": MountFlag(0),
    "symfollow": MountFlag.MS_NOSYMFOLLOW,
}  # fmt: skip
_PROPAGATION = {
    "private": MountFlag.MS_PRIVATE, "slave": MountFlag.MS_SLAVE, "shared": MountFlag.MS_SHARED,
    "unbindable": MountFlag.MS_UNBINDABLE,
}  # fmt: skip
_ATTRIBUTES = {
    MountFlag.MS_RDONLY: MountAttr.MOUNT_ATTR_RDONLY,
    MountFlag.MS_NOSUID: MountAttr.MOUNT_ATTR_NOSUID,
    MountFlag.MS_NODEV: MountAttr.MOUNT_ATTR_NODEV,
    MountFlag.MS_NOEXEC: MountAttr.MOUNT_ATTR_NOEXEC,
    MountFlag.MS_NOATIME: MountAttr.MOUNT_ATTR_NOATIME,
    MountFlag.MS_NOSYMFOLLOW: MountAttr.MOUNT_ATTR_NOSYMFOLLOW,
}
_WHY = {
    "proc": "ps and top read /proc: it must show the processes of this PID namespace and no others",
    "sysfs": "programs read /sys: it must show the interfaces of this network namespace",
    "tmpfs": "a file system in memory, gone with the container",
    "devpts": "terminals of the container's own, numbered from 0",
    "mqueue": "message queues belong to the IPC namespace, and are looked at through this mount",
    "cgroup2": "a program may read its own limits here; the cgroup namespace makes its own cgroup the root",
    "cgroup": "a program may read its own limits here; the cgroup namespace makes its own cgroup the root",
}


@dataclass(frozen=True, slots=True)
class Options:
    """A mount's options, sorted out: flags, propagation, and what is handed to the file system."""

    flags: MountFlag
    propagation: MountFlag
    data: str

    @property
    def attributes(self) -> MountAttr:
        """Those flags that a bind mount can have of its own."""
        found = MountAttr(0)
        for flag, attribute in _ATTRIBUTES.items():
            if flag & self.flags:
                found |= attribute
        return found


def root(spec: Spec, rootfs: Path, snapshot: Overlay | None, *, cgroups: Sequence[Path] = ()) -> tuple[Step, ...]:
    """The steps from a new mount namespace to a finished root; `cgroups` are the directories of its own cgroup.

    Raises: SpecError where the bundle's config asks for what cannot be planned.
    See: runtime-spec v1.2.0 config.md#mounts, config-linux.md#default-devices
    """
    kinds = {namespace.type: namespace.path for namespace in spec.linux.namespaces} if spec.linux else {}
    new_net = kinds.get("network", "host") in (None, "")
    rootless = kinds.get("user", "host") in (None, "")
    binds = [mount for mount in spec.mounts if is_bind(mount)]
    planned: list[Step] = [
        steps.SetPropagation(MountFlag.MS_SLAVE | MountFlag.MS_REC),
        steps.MountRoot(snapshot, rootfs) if snapshot else steps.BindRoot(rootfs),
    ]
    planned += [steps.PickUp(_source(mount), mount.destination, "rbind" in mount.options) for mount in binds]
    for mount in spec.mounts:
        if mount.type == "cgroup":
            planned += [
                steps.PickUp(str(place), target, why=_WHY["cgroup"]) for target, place in _shown(mount, cgroups)
            ]
    if rootless:
        planned += [steps.PickUp(f"/dev/{name}", f"/dev/{name}", recursive=False) for name in _DEVICES]
    planned.append(steps.EnterRoot(rootfs))
    first = [mount for mount in spec.mounts if (mount.type, mount.destination) in _BEFORE_OLD_ROOT_GOES]
    planned += [_inside(mount) for mount in first]
    planned.append(steps.LeaveOldRoot())
    for mount in (mount for mount in spec.mounts if mount not in first):
        planned += _own_cgroup(mount, cgroups) if mount.type == "cgroup" else [_inside(mount)]
    planned += _devices(spec, rootless)
    if new_net:
        planned.append(steps.LoopbackUp())
    if spec.linux:
        planned += [steps.MakeReadonly(path) for path in spec.linux.readonly_paths]
        planned += [steps.Mask(path) for path in spec.linux.masked_paths]
    if spec.root.readonly:
        planned.append(steps.MakeReadonly("/", why="the image's files must not change while it runs"))
    return tuple(planned)


def _shown(mount: Mount, cgroups: Sequence[Path]) -> list[tuple[str, Path]]:
    """Where a container sees the directories of its cgroup: one is the place itself, several stand side by side."""
    if len(cgroups) == 1:
        return [(mount.destination, cgroups[0])]
    places = {str(place.relative_to("/sys/fs/cgroup")).partition("/")[0]: place for place in cgroups}
    return [(f"{mount.destination}/{name}", place) for name, place in places.items()]


def _own_cgroup(mount: Mount, cgroups: Sequence[Path]) -> list[Step]:
    """Version 1 has a hierarchy for each controller: there is nothing that one mount could show."""
    wanted = options(mount.options)
    shown = _shown(mount, cgroups)
    planned: list[Step] = []
    if len(shown) != 1:
        flags = wanted.flags & ~MountFlag.MS_RDONLY
        planned.append(
            steps.MountFilesystem("tmpfs", mount.destination, "cgroup", flags, "mode=755", "a place for hierarchies")
        )
    planned += [steps.PutDown(str(place), target, wanted.attributes, recursive=True) for target, place in shown]
    if len(shown) != 1 and wanted.flags & MountFlag.MS_RDONLY:
        planned.append(steps.MakeReadonly(mount.destination))
    return planned


def is_bind(mount: Mount) -> bool:
    """Whether the mount shows files that exist already.

    See: runtime-spec v1.2.0 config.md#mounts
    """
    return mount.type == "bind" or "bind" in mount.options or "rbind" in mount.options


def option_names() -> set[str]:
    """The mount options that are not the file system's own. See: runtime-spec v1.2.0 config.md#linux-mount-options"""
    return {*_SET, *_CLEAR, *_PROPAGATION, *(f"r{name}" for name in _PROPAGATION), "bind", "rbind"}


def options(texts: tuple[str, ...]) -> Options:
    """Sort a mount's options.

    See: runtime-spec v1.2.0 config.md#linux-mount-options
    """
    flags, propagation, data = MountFlag(0), MountFlag(0), []
    for text in texts:
        if text in _SET:
            flags |= _SET[text]
        elif text in _CLEAR:
            flags &= ~_CLEAR[text]
        elif text in _PROPAGATION:
            propagation |= _PROPAGATION[text]
        elif text.removeprefix("r") in _PROPAGATION:
            propagation |= _PROPAGATION[text.removeprefix("r")] | MountFlag.MS_REC
        else:
            data.append(text)
    return Options(flags, propagation, ",".join(data))


def _inside(mount: Mount) -> Step:
    if not mount.destination.startswith("/"):
        raise SpecError(f"mounts: destination {mount.destination!r} is not an absolute path")
    sorted_out = options(mount.options)
    if is_bind(mount):
        return steps.PutDown(
            _source(mount),
            mount.destination,
            sorted_out.attributes,
            recursive="rbind" in mount.options,
            propagation=sorted_out.propagation,
        )
    type = mount.type or "none"
    why = _WHY.get(type, "the bundle's config asks for it")
    return steps.MountFilesystem(type, mount.destination, mount.source or type, sorted_out.flags, sorted_out.data, why)


def _devices(spec: Spec, rootless: bool) -> list[Step]:
    planned: list[Step] = []
    if not any(mount.destination == "/dev" and mount.type == "tmpfs" for mount in spec.mounts):
        return planned  # somebody else's /dev, such as the host's when privileged: nothing to add
    for name, (major, minor) in _DEVICES.items():
        path = f"/dev/{name}"
        if rootless:
            why = "a user namespace may not make device nodes, so the host's is bound"
            planned.append(steps.PutDown(path, path, why=why))
        else:
            planned.append(steps.MakeDevice(path, stat.S_IFCHR | 0o666, os.makedev(major, minor)))
    planned += [steps.MakeLink(target, path) for path, target in _LINKS.items()]
    if spec.linux:
        planned += [_extra_device(device) for device in spec.linux.devices]
    return planned


def _extra_device(device: Device) -> Step:
    kind = stat.S_IFBLK if device.type == "b" else stat.S_IFIFO if device.type == "p" else stat.S_IFCHR
    mode = kind | (device.file_mode if device.file_mode is not None else 0o666)
    number = os.makedev(device.major or 0, device.minor or 0)
    return steps.MakeDevice(device.path, mode, number, device.uid or 0, device.gid or 0)


def _source(mount: Mount) -> str:
    if not mount.source:
        raise SpecError(f"mounts: the bind mount at {mount.destination} has no source")
    return mount.source
