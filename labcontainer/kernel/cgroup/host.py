"""Which cgroups this machine has, and where this user may make some. Everything is read from /proc, nothing guessed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labcontainer.errors import HostError
from labcontainer.kernel import file, proc

NAME = "labcontainer"
# Version 1's controllers that a container needs.
V1_CONTROLLERS = ("memory", "cpu", "cpuacct", "cpuset", "pids", "blkio", "devices", "freezer")


@dataclass(frozen=True, slots=True)
class Host:
    """The cgroup hierarchies in sight: version 1's mount points by controller, version 2's mount point."""

    v1: Mapping[str, Path]
    v2: Path | None
    v2_controllers: frozenset[str]
    own: Mapping[str, str]

    @property
    def version(self) -> str:
        """``v1``, ``v2`` or ``hybrid``. See: man 7 cgroups"""
        if not self.v1:
            return "v2"
        return "hybrid" if self.v2 else "v1"

    @property
    def controllers(self) -> frozenset[str]:
        """The controllers that can hold a limit here. See: man 7 cgroups"""
        return frozenset(self.v1) if self.v1 else self.v2_controllers

    def bases(self) -> dict[str, Path]:
        """Where this user's containers go: a directory for each version 1 controller, and ``""`` for version 2.

        Raises: HostError with the command that delegates one. See: https://systemd.io/CGROUP_DELEGATION/
        """
        found = {name: _base(mount, self.own.get(name, "/")) for name, mount in self.v1.items()}
        if self.v2:
            found[""] = _base(self.v2, self.own.get("", "/"))
        if os.geteuid() == 0:
            return found
        usable = {name: base for name, base in found.items() if _writable(base)}
        missing = {"memory", "cpu", "pids"} - set(usable) if self.v1 else {""} - set(usable)
        if missing:
            raise HostError("resource limits for an ordinary user", self._remedy(), "no cgroup is delegated to it")
        return usable

    def writable_base(self) -> Path:
        """One directory under which cgroups can be made. Raises: HostError. See: man 7 cgroups"""
        bases = self.bases()
        return bases.get("", next(iter(bases.values())))

    def _remedy(self) -> str:
        user = os.geteuid()
        if not self.v1:
            return "systemd-run --user --scope -p Delegate=yes bash, and start from that shell"
        names = ",".join(sorted(mount.name for mount in set(self.v1.values())))
        make = f"mkdir -p $c/{NAME}-{user} && chown -R {user} $c/{NAME}-{user}"
        return f"sudo bash -c 'for c in /sys/fs/cgroup/{{{names}}}; do {make}; done'"


def host() -> Host:
    """What /proc says now.

    Raises: HostError where no cgroup file system is mounted. See: man 7 cgroups, man 5 proc
    """
    v1: dict[str, Path] = {}
    v2: Path | None = None
    for mount in proc.mountinfo():
        if mount.filesystemtype == "cgroup2" and v2 is None:
            v2 = Path(mount.target)
        elif mount.filesystemtype == "cgroup":
            for name in V1_CONTROLLERS:
                if name in mount.super_options:
                    v1.setdefault(name, Path(mount.target))
    if not v1 and v2 is None:
        raise HostError("cgroups", "sudo mount -t cgroup2 none /sys/fs/cgroup", "no cgroup file system is mounted")
    controllers = frozenset(file.read(v2 / "cgroup.controllers").split()) if v2 else frozenset()
    return Host(v1, v2, controllers, _own())


def _own() -> dict[str, str]:
    # 4:memory:/user.slice     0::/user.slice/session.scope
    found: dict[str, str] = {}
    for line in file.read("/proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            found[name] = path
    return found


def _base(mount: Path, own: str) -> Path:
    if os.geteuid() == 0:
        return mount / NAME
    delegated = mount / f"{NAME}-{os.geteuid()}"
    return delegated if delegated.exists() else mount / own.lstrip("/") / NAME


def _writable(base: Path) -> bool:
    place = base if base.exists() else base.parent
    return os.access(place, os.W_OK) and os.access(place / "cgroup.procs", os.W_OK)
