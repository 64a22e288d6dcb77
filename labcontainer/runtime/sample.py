"""A configuration to begin with: what ``runc spec`` writes, in our words."""

from __future__ import annotations

from labcontainer.kernel import userns
from labcontainer.oci.resources import DeviceRule, Resources
from labcontainer.oci.runtime_spec import (
    Capabilities,
    IdMapping,
    Linux,
    Mount,
    Namespace,
    Process,
    Rlimit,
    Root,
    Spec,
    User,
)

_HARD = ("nosuid", "noexec", "nodev")
_CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")
_MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
)  # fmt: skip


def sample(*, rootless: bool) -> Spec:
    """A shell in ``rootfs``, read-only, with a terminal; `rootless` adds a user namespace for the caller."""
    kinds = ("pid", "network", "ipc", "uts", "mount", "cgroup", *(("user",) if rootless else ()))
    maps = userns.own_maps(ranges=False)
    return Spec(
        oci_version="1.2.0",
        process=Process(
            terminal=True,
            user=User(0, 0),
            args=("sh",),
            env=("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"),
            cwd="/",
            capabilities=Capabilities(_CAPABILITIES, _CAPABILITIES, (), _CAPABILITIES, ()),
            rlimits=(Rlimit("RLIMIT_NOFILE", 1024, 1024),),
            no_new_privileges=True,
        ),
        root=Root("rootfs", readonly=True),
        hostname="lab-runtime",
        mounts=(
            Mount("/proc", "proc", "proc"),
            Mount("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
            Mount("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")),
            Mount("/dev/shm", "tmpfs", "shm", (*_HARD, "mode=1777", "size=65536k")),
            Mount("/dev/mqueue", "mqueue", "mqueue", _HARD),
            Mount("/sys", "sysfs", "sysfs", (*_HARD, "ro")),
            Mount("/sys/fs/cgroup", "cgroup", "cgroup", (*_HARD, "relatime", "ro")),
        ),
        linux=Linux(
            namespaces=tuple(Namespace(kind) for kind in kinds),
            uid_mappings=tuple(IdMapping(r.inside, r.outside, r.length) for r in maps.uids) if rootless else (),
            gid_mappings=tuple(IdMapping(r.inside, r.outside, r.length) for r in maps.gids) if rootless else (),
            resources=None if rootless else Resources(devices=(DeviceRule(allow=False, access="rwm"),)),
            masked_paths=_MASKED,
            readonly_paths=("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"),
        ),
    )
