"""The runtime specification's config.json, for Linux.

    {"ociVersion": "1.2.0", "process": {"args": ["sh"], …}, "root": {"path": "rootfs"}, "mounts": […], "linux": {…}}

Names are the specification's, in snake_case here and camelCase in JSON. Left out: solaris, windows, vm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labcontainer.errors import SpecError
from labcontainer.oci import fields, resources
from labcontainer.oci.resources import Resources

NAMESPACES = ("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time")


@dataclass(frozen=True, slots=True)
class User:
    """Who the process is. See: runtime-spec v1.2.0 config.md#posix-platform-user"""

    uid: int
    gid: int
    umask: int | None = None
    additional_gids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The five sets, by names such as ``CAP_KILL``. See: runtime-spec v1.2.0 config.md#linux-process"""

    bounding: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    inheritable: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rlimit:
    """A resource limit such as ``RLIMIT_NOFILE``. See: runtime-spec v1.2.0 config.md#posix-process"""

    type: str
    hard: int
    soft: int


@dataclass(frozen=True, slots=True)
class ConsoleSize:
    """Rows and columns of the terminal. See: runtime-spec v1.2.0 config.md#process"""

    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Scheduler:
    """How the process is scheduled; times in nanoseconds. See: runtime-spec v1.2.0 config.md#linux-process"""

    policy: str
    nice: int = 0
    priority: int = 0
    flags: tuple[str, ...] = ()
    runtime: int = 0
    deadline: int = 0
    period: int = 0


@dataclass(frozen=True, slots=True)
class IoPriority:
    """How its disk requests are served. See: runtime-spec v1.2.0 config.md#linux-process"""

    io_class: str = field(metadata={"key": "class"})
    priority: int = 0


@dataclass(frozen=True, slots=True)
class CpuAffinity:
    """CPUs (``0-2,5``) of an exec before and after it joins the cgroup. See: runtime-spec v1.2.1 config.md"""

    initial: str = ""
    final: str = ""


@dataclass(frozen=True, slots=True)
class Process:
    """The container's command. See: runtime-spec v1.2.0 config.md#process"""

    cwd: str
    user: User
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    terminal: bool = False
    console_size: ConsoleSize | None = None
    capabilities: Capabilities | None = None
    rlimits: tuple[Rlimit, ...] = ()
    no_new_privileges: bool = False
    oom_score_adj: int | None = None
    scheduler: Scheduler | None = None
    io_priority: IoPriority | None = None
    exec_cpu_affinity: CpuAffinity | None = field(default=None, metadata={"key": "execCPUAffinity"})
    apparmor_profile: str | None = None
    selinux_label: str | None = None


@dataclass(frozen=True, slots=True)
class Root:
    """Where the root file system is, relative to the bundle. See: runtime-spec v1.2.0 config.md#root"""

    path: str
    readonly: bool = False


@dataclass(frozen=True, slots=True)
class IdMapping:
    """`size` ids from `container_id` on are, on the host, those from `host_id` on.

    See: runtime-spec v1.2.0 config-linux.md#user-namespace-mappings
    """

    container_id: int = field(metadata={"key": "containerID"})
    host_id: int = field(metadata={"key": "hostID"})
    size: int


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount beyond the root, in order. See: runtime-spec v1.2.0 config.md#mounts"""

    destination: str
    type: str | None = None
    source: str | None = None
    options: tuple[str, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace to make, or with `path` to join. See: runtime-spec v1.2.0 config-linux.md#namespaces"""

    type: str
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A device node to make. See: runtime-spec v1.2.0 config-linux.md#devices"""

    path: str
    type: str
    major: int | None = None
    minor: int | None = None
    file_mode: int | None = None
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, slots=True)
class Personality:
    """LINUX or LINUX32. See: runtime-spec v1.2.0 config-linux.md#personality"""

    domain: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TimeOffset:
    """How far a clock inside is ahead. See: runtime-spec v1.2.0 config-linux.md#offset-for-time-namespace"""

    secs: int = 0
    nanosecs: int = 0


@dataclass(frozen=True, slots=True)
class MemoryPolicy:
    """From which nodes memory comes. See: runtime-spec v1.3.0 config-linux.md#memory-policy"""

    mode: str
    nodes: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Linux:
    """What only Linux has. `seccomp` stays JSON. See: runtime-spec v1.2.0 config-linux.md"""

    namespaces: tuple[Namespace, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    devices: tuple[Device, ...] = ()
    cgroups_path: str | None = None
    resources: Resources | None = None
    seccomp: Mapping[str, Any] | None = None
    rootfs_propagation: str | None = None
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    sysctl: Mapping[str, str] = field(default_factory=dict)
    mount_label: str | None = None
    personality: Personality | None = None
    time_offsets: Mapping[str, TimeOffset] = field(default_factory=dict)
    memory_policy: MemoryPolicy | None = None


@dataclass(frozen=True, slots=True)
class Spec:
    """A bundle's config.json. See: runtime-spec v1.2.0 config.md"""

    oci_version: str
    root: Root
    process: Process | None = None
    hostname: str | None = None
    domainname: str | None = None
    mounts: tuple[Mount, ...] = ()
    hooks: Mapping[str, Any] | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    linux: Linux | None = None

    @classmethod
    def from_json(cls, value: object) -> Spec:
        """Parsed JSON as a checked `Spec`. Raises: SpecError (the JSON path, and what was wrong)."""
        spec = fields.read(cls, value, "config")
        if not spec.oci_version.startswith("1."):
            raise SpecError(f"config.ociVersion: {spec.oci_version!r} is not a version 1 of the runtime specification")
        for index, mount in enumerate(spec.mounts):
            _absolute(mount.destination, f"config.mounts[{index}].destination")
        if spec.process:
            _absolute(spec.process.cwd, "config.process.cwd")
        if spec.linux:
            _check_namespaces(spec.linux.namespaces)
            if spec.linux.resources:
                resources.check(spec.linux.resources, "config.linux.resources")
        return spec

    def to_json(self) -> dict[str, Any]:
        """The content of config.json."""
        return dict(fields.write(self))


def _absolute(path: str, where: str) -> None:
    if not path.startswith("/"):
        raise SpecError(f"{where}: {path!r} is not an absolute path")


def _check_namespaces(namespaces: tuple[Namespace, ...]) -> None:
    seen = set()
    for index, namespace in enumerate(namespaces):
        where = f"config.linux.namespaces[{index}]"
        if namespace.type not in NAMESPACES:
            raise SpecError(f"{where}.type: {namespace.type!r} is none of {', '.join(NAMESPACES)}")
        if namespace.type in seen:
            raise SpecError(f"{where}.type: {namespace.type} was named before")
        if namespace.path:
            _absolute(namespace.path, f"{where}.path")
        seen.add(namespace.type)
