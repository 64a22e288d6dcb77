"""What an init will do to its mounts and network, in order, before any of it is done.

    >>> for number, step in enumerate(plan.root(spec, bundle.rootfs, snapshot), 1):
    ...     print(number, step.describe(), "—", step.why)

The order matters: sources are picked up while paths mean the host's; then the root changes. /proc and /sys come before
the old root goes, because in a user namespace the Linux kernel mounts a new /proc only while an old one is in sight;
everything else after it, because until then the old root lies on the new one, and a link in the image to ``../etc``
leads to the host's (CVE-2021-30465). Devices, and what hides parts of /proc, come before the first volume: what lies
in that another container may exchange while we mount (CVE-2025-31133).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from labcontainer.errors import SpecError
from labcontainer.kernel.mount import MountFlag
from labcontainer.kernel.overlay import Overlay
from labcontainer.oci.runtime_spec import Device, Mount, Spec
from labcontainer.runtime import mount_options, steps
from labcontainer.runtime.steps import Step

_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_ELSEWHERE = re.compile(r"/proc/(\d+)/root(/.*)")  # a place in another container
_BEFORE_OLD_ROOT_GOES = (("proc", "/proc"), ("sysfs", "/sys"))
_SYSTEMS = ("/proc", "/sys", "/dev")
_LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
    "/dev/ptmx": "pts/ptmx",
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


def root(spec: Spec, rootfs: Path, snapshot: Overlay | None, *, cgroups: Sequence[Path] = ()) -> tuple[Step, ...]:
    """The steps from a new mount namespace to a finished root; `cgroups` are the directories of its own cgroup.

    Raises: SpecError where the bundle's config asks for what cannot be planned.
    See: runtime-spec v1.2.0 config.md#mounts, config-linux.md#default-devices
    """
    kinds = {namespace.type: namespace.path for namespace in spec.linux.namespaces} if spec.linux else {}
    new_net = kinds.get("network", "host") in (None, "")
    rootless = kinds.get("user", "host") in (None, "")
    binds = [mount for mount in spec.mounts if is_bind(mount)]
    # Before we are cut off from the host: of these the host is to hear, and a copy made later would be no peer.
    planned: list[Step] = [_pick_up(mount) for mount in binds if mount_options.sort(mount.options).shared]
    planned += [
        steps.SetPropagation(MountFlag.MS_SLAVE | MountFlag.MS_REC),
        steps.MountRoot(snapshot, rootfs) if snapshot else steps.BindRoot(rootfs),
    ]
    planned += [_pick_up(mount) for mount in binds if not mount_options.sort(mount.options).shared]
    for mount in spec.mounts:
        if mount.type == "cgroup":
            planned += [
                steps.PickUp(str(place), target, why=_WHY["cgroup"]) for target, place in _shown(mount, cgroups)
            ]
    if rootless:
        planned += [steps.PickUp(path, path, recursive=False) for path in _bound_devices(spec)]
    planned.append(steps.EnterRoot(rootfs))
    first = [mount for mount in spec.mounts if (mount.type, mount.destination) in _BEFORE_OLD_ROOT_GOES]
    planned += [_inside(mount) for mount in first]
    planned.append(steps.LeaveOldRoot())
    planned += _propagation(spec)
    planned += _onto([mount for mount in spec.mounts if mount not in first], spec, cgroups, rootless)
    if new_net:
        planned.append(steps.LoopbackUp())
    if spec.root.readonly:
        planned.append(steps.MakeReadonly("/", why="the image's files must not change while it runs"))
    return tuple(planned)


def _propagation(spec: Spec) -> list[Step]:
    """Of the root alone, and before the others are there: each of them has a propagation of its own."""
    if spec.linux is None or not spec.linux.rootfs_propagation:
        return []
    flags = mount_options.sort((spec.linux.rootfs_propagation.removeprefix("r"),)).propagation
    return [steps.SetPropagation(flags, why="the bundle's config asks for it")]


def _onto(mounts: Sequence[Mount], spec: Spec, cgroups: Sequence[Path], rootless: bool) -> list[Step]:
    """The other mounts, devices, and what is hidden and protected: that comes first where it does not need a volume."""
    ours = 1 + max((number for number, mount in enumerate(mounts) if _is_the_systems(mount)), default=-1)
    if not has_own_dev(spec):
        ours = len(mounts)  # files are masked with a null device that somebody's mount brings
    volumes = [mount.destination for mount in mounts[ours:]]
    covered = _covered(spec)
    return [
        *_mounts(mounts[:ours], cgroups),
        *_devices(spec, rootless),
        *(step for step in covered if _within(step.path, _SYSTEMS) and not _within(step.path, volumes)),
        *_mounts(mounts[ours:], cgroups),
        *(step for step in covered if not _within(step.path, _SYSTEMS) or _within(step.path, volumes)),
    ]


def _is_the_systems(mount: Mount) -> bool:
    return not is_bind(mount) and _within(mount.destination, _SYSTEMS)


def _within(path: str, tops: Iterable[str]) -> bool:
    return any(PurePosixPath(path).is_relative_to(top) for top in tops)


def _mounts(mounts: Sequence[Mount], cgroups: Sequence[Path]) -> list[Step]:
    planned: list[Step] = []
    for mount in mounts:
        planned += _own_cgroup(mount, cgroups) if mount.type == "cgroup" else [_inside(mount)]
    return planned


def _covered(spec: Spec) -> list[steps.MakeReadonly | steps.Mask]:
    if spec.linux is None:
        return []
    protected = [steps.MakeReadonly(path) for path in spec.linux.readonly_paths]
    return [*protected, *(steps.Mask(path) for path in spec.linux.masked_paths)]


def has_own_dev(spec: Spec) -> bool:
    """Whether /dev is made for the container; else it is somebody's, such as the host's, and has what it needs.

    See: runtime-spec v1.2.0 config-linux.md#default-devices
    """
    return any(mount.destination == "/dev" and mount.type == "tmpfs" for mount in spec.mounts)


def _shown(mount: Mount, cgroups: Sequence[Path]) -> list[tuple[str, Path]]:
    """Where a container sees the directories of its cgroup: one is the place itself, several stand side by side."""
    if len(cgroups) == 1:
        return [(mount.destination, cgroups[0])]
    places = {str(place.relative_to("/sys/fs/cgroup")).partition("/")[0]: place for place in cgroups}
    return [(f"{mount.destination}/{name}", place) for name, place in places.items()]


def _own_cgroup(mount: Mount, cgroups: Sequence[Path]) -> list[Step]:
    """Version 1 has a hierarchy for each controller: there is nothing that one mount could show."""
    wanted = mount_options.sort(mount.options)
    shown = _shown(mount, cgroups)
    planned: list[Step] = []
    if len(shown) != 1:
        flags = wanted.flags & ~MountFlag.MS_RDONLY
        planned.append(
            steps.MountFilesystem("tmpfs", mount.destination, "cgroup", flags, "mode=755", "a place for hierarchies")
        )
    attributes = wanted.below.then(wanted.here.set, wanted.here.clear)
    planned += [steps.PutDown(str(place), target, below=attributes) for target, place in shown]
    if len(shown) != 1 and wanted.flags & MountFlag.MS_RDONLY:
        planned.append(steps.MakeReadonly(mount.destination))
    return planned


def is_bind(mount: Mount) -> bool:
    """Whether the mount shows files that exist already.

    See: runtime-spec v1.2.0 config.md#mounts
    """
    return mount.type == "bind" or "bind" in mount.options or "rbind" in mount.options


def _pick_up(mount: Mount) -> Step:
    source, recursive = _source(mount), "rbind" in mount.options
    elsewhere = _ELSEWHERE.fullmatch(source)
    if elsewhere:
        return steps.PickUpElsewhere(f"/proc/{elsewhere[1]}/ns/mnt", elsewhere[2], mount.destination)
    return steps.PickUp(source, mount.destination, recursive)


def _inside(mount: Mount) -> Step:
    if not mount.destination.startswith("/"):
        raise SpecError(f"mounts: destination {mount.destination!r} is not an absolute path")
    wanted = mount_options.sort(mount.options)
    if is_bind(mount):
        return steps.PutDown(_source(mount), mount.destination, wanted.here, wanted.below, wanted.propagation)
    type = mount.type or "none"
    why = _WHY.get(type, "the bundle's config asks for it")
    source = mount.source or type
    return steps.MountFilesystem(
        type, mount.destination, source, wanted.flags, wanted.data, why, wanted.below, wanted.propagation,
        wanted.copy_up,
    )  # fmt: skip


def _bound_devices(spec: Spec) -> list[str]:
    """The host's devices that a user namespace, which can make none, gets bound."""
    if not has_own_dev(spec):
        return []
    more = [device.path for device in spec.linux.devices if device.type != "p"] if spec.linux else []
    return list(dict.fromkeys([*(f"/dev/{name}" for name in _DEVICES), *more]))


def _devices(spec: Spec, rootless: bool) -> list[Step]:
    if not has_own_dev(spec):
        return []
    more = spec.linux.devices if spec.linux else ()
    planned: list[Step] = []
    if rootless:
        why = "a user namespace may not make device nodes, so the host's is bound"
        planned += [steps.PutDown(path, path, why=why) for path in _bound_devices(spec)]
        planned += [_extra_device(device) for device in more if device.type == "p"]
    else:
        named = {device.path for device in more}
        planned += [
            steps.MakeDevice(path, stat.S_IFCHR | 0o666, os.makedev(major, minor))
            for path, (major, minor) in ((f"/dev/{name}", number) for name, number in _DEVICES.items())
            if path not in named
        ]
        planned += [_extra_device(device) for device in more]
    return planned + [steps.MakeLink(target, path) for path, target in _LINKS.items()]


def _extra_device(device: Device) -> Step:
    kind = stat.S_IFBLK if device.type == "b" else stat.S_IFIFO if device.type == "p" else stat.S_IFCHR
    mode = kind | (device.file_mode if device.file_mode is not None else 0o666)
    number = os.makedev(device.major or 0, device.minor or 0)
    return steps.MakeDevice(device.path, mode, number, device.uid or 0, device.gid or 0)


def _source(mount: Mount) -> str:
    if not mount.source:
        raise SpecError(f"mounts: the bind mount at {mount.destination} has no source")
    return mount.source
