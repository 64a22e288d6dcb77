"""Where a probe stands: who we are, what this machine calls itself, and what is around us."""

from __future__ import annotations

import contextlib
import os
import platform
import pwd
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labcontainer.errors import HostError, KernelError
from labcontainer.kernel import cgroup, file, namespaces

# The namespaces that a machine has from its start have these numbers (linux/proc_ns.h); all others have later ones.
_FIRST = {"uts": 0xEFFFFFFE, "user": 0xEFFFFFFD, "pid": 0xEFFFFFFC}


@dataclass(frozen=True, slots=True)
class Place:
    """What trials and remedies need to know of their surroundings.

    ``container`` is the kind of container that we are in (``docker``, ``podman``, …), or empty; ``sandbox`` says that
    our user namespace is not the machine's own. ``state`` exists, and is where containers would be kept or the nearest
    directory above it. ``families`` are the distribution's names for itself and its kin: ``{"ubuntu", "debian"}``.
    """

    root: bool
    user: str
    container: str
    sandbox: bool
    state: Path
    distribution: str
    families: frozenset[str]

    @classmethod
    def here(cls, state: Path) -> Place:
        """Look around. See: man 5 os-release, man 7 user_namespaces"""
        release = _os_release()
        return cls(
            root=os.geteuid() == 0,
            user=_user(),
            container=_container(),
            sandbox=namespaces.inode("self", "user") != _FIRST["user"],
            state=next(path for path in (state, *state.absolute().parents) if path.is_dir()),
            distribution=release.get("PRETTY_NAME", "Linux"),
            families=frozenset([release.get("ID", ""), *release.get("ID_LIKE", "").split()]),
        )

    def facts(self) -> dict[str, object]:
        """The report's facts, in the order in which they are shown. See: man 2 uname, man 5 proc (/proc/meminfo)"""
        return {
            "linux": platform.release(),
            "machine": platform.machine(),
            "distribution": self.distribution,
            "user": self.user,
            "cgroups": _cgroups(),
            "container": self.container or None,
            "cpus": len(os.sched_getaffinity(0)),
            "memory_bytes": memory_bytes(),
            "state_directory": str(self.state),
            "free_bytes": shutil.disk_usage(self.state).free,
        }


def memory_bytes() -> int:
    """The memory that could be used right now without swapping: what is free, and what caches would give back.

    Units: bytes. See: man 5 proc (/proc/meminfo, MemAvailable)
    """
    lines = (line.split() for line in file.read("/proc/meminfo").splitlines())
    return next(int(line[1]) * 1024 for line in lines if line[0] == "MemAvailable:")


def setting(path: str) -> str | None:
    """What the file below /proc/sys says; None where this Linux kernel has no such setting.

    See: man 5 proc (/proc/sys)
    """
    try:
        return file.read(f"/proc/sys/{path}")
    except KernelError:
        return None


def _os_release() -> Mapping[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _cgroups() -> str:
    try:
        return cgroup.host().version
    except HostError:
        return "none"


def _container() -> str:
    if all(namespaces.inode("self", kind) == _FIRST[kind] for kind in ("pid", "uts")):
        return ""
    # Which kind, each says with a mark of its own.
    for mark, kind in (("/.dockerenv", "docker"), ("/run/.containerenv", "podman"), ("/.flatpak-info", "flatpak")):
        if Path(mark).exists():
            return kind
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    with contextlib.suppress(KernelError):
        # systemd-nspawn and LXC tell their init.
        pairs = dict(line.partition("=")[::2] for line in file.read("/proc/1/environ").split("\0"))
        return pairs.get("container", "")
    return ""
