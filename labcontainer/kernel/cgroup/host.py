"""Which cgroups this machine has. Everything is read from /proc, nothing is guessed from paths.

    31 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory     version 1: a hierarchy for some controllers
    32 23 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw         version 2: one for everything

A mount may show a part of its hierarchy only (its fourth field, inside a container); /proc/self/cgroup counts from the
hierarchy's root, or from that of our cgroup namespace.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from labcontainer.errors import HostError
from labcontainer.kernel import file, proc
from labcontainer.kernel.cgroup import delegation
from labcontainer.kernel.proc import Mount

# Version 1's controllers that a container needs.
V1_CONTROLLERS = ("memory", "cpu", "cpuacct", "cpuset", "pids", "blkio", "devices", "freezer", "hugetlb", "rdma")


@dataclass(frozen=True, slots=True)
class Host:
    """The cgroup hierarchies in sight: `mounts` by controller, version 2's under ``""``.

    `paths` says where this process stands in each, as /proc/self/cgroup has it.
    """

    mounts: Mapping[str, Mount]
    paths: Mapping[str, str]

    @property
    def version(self) -> str:
        """``v1``, ``v2`` or ``hybrid``. See: man 7 cgroups"""
        if "" not in self.mounts:
            return "v1"
        return "hybrid" if len(self.mounts) > 1 else "v2"

    @property
    def v2(self) -> Path | None:
        """Where version 2 is mounted. See: man 7 cgroups"""
        return Path(self.mounts[""].target) if "" in self.mounts else None

    @property
    def controllers(self) -> frozenset[str]:
        """The controllers that can hold a limit here: version 1's where there are any. See: man 7 cgroups"""
        if self.version == "v2":
            return frozenset(file.read(f"{self.mounts[''].target}/cgroup.controllers").split())
        return frozenset(self.mounts) - {""}

    def own(self, controller: str) -> Path:
        """The directory in which this process stands. See: man 7 cgroups (/proc/pid/cgroup)"""
        return place(self.mounts[controller], self.paths.get(controller, "/"))

    def bases(self) -> dict[str, Path]:
        """Where this user's containers go: a directory for each version 1 controller, and ``""`` for version 2.

        Raises: HostError with the command that delegates one. See: https://systemd.io/CGROUP_DELEGATION/
        """
        tops = {controller: mount.target for controller, mount in self.mounts.items()}
        return delegation.bases(tops, self.own)

    def places(self, path: str) -> dict[str, Path]:
        """The same absolute `path` in each hierarchy that this user may use, by controller as in `bases`.

        Raises: HostError with the command that delegates it. See: runtime-spec v1.2.0 config-linux.md#cgroups-path
        """
        return delegation.places({controller: mount.target for controller, mount in self.mounts.items()}, path)

    def missing(self, controller: str, feature: str) -> HostError:
        """Why `feature` cannot be had where its `controller` has no files, and what mends it. See: man 7 cgroups"""
        tops = {name: mount.target for name, mount in self.mounts.items()}
        name = "io" if controller == "blkio" else controller
        if self.version == "v2" and name not in self.controllers:
            reason = f"version 2 has no {name} controller here: the Linux kernel lacks it, or version 1 holds it"
            return HostError(feature, "cgroup_no_v1=all on the Linux kernel's command line", reason)
        if os.geteuid() != 0 and (controller in self.mounts or self.version == "v2"):
            return HostError(feature, delegation.remedy(tops, os.geteuid()), f"{name} is not delegated to this user")
        if not controller:
            directory = "/sys/fs/cgroup/unified"
            mount = f"sudo mkdir -p {directory} && sudo mount -t cgroup2 none {directory}"
            return HostError(feature, mount, "cgroup version 2 is not mounted")
        mount = f"mkdir -p $1 && mount -t cgroup -o {controller} none $1"
        remedy = f"sudo sh -c '{mount}' sh /sys/fs/cgroup/{controller}"
        return HostError(feature, remedy, f"the controller {controller} is not mounted")

    def writable_base(self) -> Path:
        """One directory under which cgroups can be made. Raises: HostError. See: man 7 cgroups"""
        bases = self.bases()
        return bases.get("", next(iter(bases.values())))


def host() -> Host:
    """What /proc says now.

    Raises: HostError where no cgroup file system is mounted. See: man 7 cgroups, man 5 proc
    """
    mounts: dict[str, Mount] = {}
    for mount in proc.mountinfo(filesystemtype="cgroup"):
        if mount.filesystemtype == "cgroup2":
            mounts.setdefault("", mount)
        for name in V1_CONTROLLERS:
            if name in mount.super_options:
                mounts.setdefault(name, mount)
    if not mounts:
        raise HostError("cgroups", "sudo mount -t cgroup2 none /sys/fs/cgroup", "no cgroup file system is mounted")
    return Host(mounts, own_paths(file.read("/proc/self/cgroup")))


def own_paths(text: str) -> dict[str, str]:
    """/proc/self/cgroup as a mapping from controller to path; version 2's line is ``""``.

    See: man 7 cgroups (/proc/pid/cgroup)
    """
    # 4:cpu,cpuacct:/user.slice     0::/user.slice/session.scope
    rows = (line.split(":", 2) for line in text.splitlines())
    return {name: path for _, names, path in rows for name in names.split(",")}


def place(mount: Mount, path: str) -> Path:
    """The directory under `mount` that stands for `path` of its hierarchy; the mount's top where it is out of sight.

    See: man 7 cgroup_namespaces
    """
    cgroup, root = PurePosixPath(path), PurePosixPath(mount.root)
    return Path(mount.target, cgroup.relative_to(root)) if cgroup.is_relative_to(root) else Path(mount.target)
