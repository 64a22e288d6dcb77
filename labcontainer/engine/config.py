"""From an image and `Options` to the bundle's config.json: docker's defaults written in the OCI's words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from labcontainer.engine import user
from labcontainer.engine.options import Options
from labcontainer.errors import UsageError
from labcontainer.image.image import Image
from labcontainer.kernel import seccomp, userns
from labcontainer.oci.resources import DeviceRule, Resources
from labcontainer.oci.runtime_spec import (
    Capabilities,
    IdMapping,
    Linux,
    Mount,
    Namespace,
    Process,
    Root,
    Spec,
)
from labcontainer.runtime import devices

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The oldest version that has all that is used here: a runtime refuses a bundle that is newer than itself.
_OCI_VERSION = "1.0.2"
_HARD = ("nosuid", "noexec", "nodev")

# What docker hides, and what it lets be read only (moby: oci/defaults.go).
_MASKED = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
)  # fmt: skip
_READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_DEVICE_RULES = (DeviceRule(allow=False, access="rwm"), *devices.RULES)


def spec(image: Image, options: Options, lowerdirs: Sequence[Path], id: str, *, cgroup_path: str | None) -> Spec:
    """The configuration of one container.

    Raises: UsageError where there is no command, or the user is not in the image.
    See: runtime-spec v1.2.0 config.md, image-spec v1.1.0 conversion.md
    """
    rootless = os.geteuid() != 0
    return Spec(
        oci_version=_OCI_VERSION,
        process=_process(image, options, lowerdirs, id),
        root=Root(path="rootfs", readonly=options.read_only),
        hostname=options.hostname or id[:12],
        mounts=_mounts(options),
        annotations=dict(options.labels),
        linux=Linux(
            namespaces=_namespaces(options, rootless=rootless),
            uid_mappings=_mappings("uids") if rootless else (),
            gid_mappings=_mappings("gids") if rootless else (),
            cgroups_path=cgroup_path,
            resources=_resources(options),
            seccomp=_seccomp(options),
            masked_paths=() if options.privileged else _MASKED,
            readonly_paths=() if options.privileged else _READONLY,
        ),
    )


def arguments(image: Image, options: Options) -> tuple[str, ...]:
    """Entrypoint and command, as image and caller combine them. Raises: UsageError where both are empty."""
    defaults = image.config.config
    entrypoint = defaults.entrypoint if options.entrypoint is None else options.entrypoint
    # As docker does it: a new entrypoint drops the image's command.
    inherited = defaults.cmd if options.entrypoint is None else ()
    found = (*entrypoint, *(inherited if options.command is None else options.command))
    if not found:
        raise UsageError("command", "", "the image has neither an entrypoint nor a command: name one")
    return found


def _process(image: Image, options: Options, lowerdirs: Sequence[Path], id: str) -> Process:
    defaults = image.config.config
    names = tuple(sorted(cap.name for cap in options.capabilities))
    who = user.resolve(options.user if options.user is not None else defaults.user or "", lowerdirs)
    # Somebody other than root starts without effective capabilities; what stays bounds set-user-ID programs.
    held = names if who.uid == 0 else ()
    return Process(
        terminal=options.tty,
        user=who,
        args=arguments(image, options),
        env=_environment(defaults.env, options, id),
        cwd=options.working_dir or defaults.working_dir or "/",
        capabilities=Capabilities(bounding=names, effective=held, permitted=held, inheritable=(), ambient=()),
        no_new_privileges=options.no_new_privileges or os.geteuid() != 0,
        oom_score_adj=options.constraints.oom_score_adj,
    )


def _environment(defaults: Sequence[str], options: Options, id: str) -> tuple[str, ...]:
    merged = dict(text.partition("=")[::2] for text in (_PATH, f"HOSTNAME={options.hostname or id[:12]}", "HOME=/root"))
    if options.tty:
        merged["TERM"] = "xterm"
    for text in (*defaults, *options.environment):
        key, _, value = text.partition("=")
        merged[key] = value
    return tuple(f"{key}={value}" for key, value in merged.items())


def _mounts(options: Options) -> tuple[Mount, ...]:
    writable = "rw" if options.privileged else "ro"
    fixed = [
        Mount("/proc", "proc", "proc", _HARD),
        Mount("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
        Mount("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")),
        Mount("/dev/shm", "tmpfs", "shm", (*_HARD, "mode=1777", "size=65536k")),
        Mount("/dev/mqueue", "mqueue", "mqueue", _HARD),
    ]
    if options.network_mode == "none":
        fixed.append(Mount("/sys", "sysfs", "sysfs", (*_HARD, writable)))
    else:
        # sysfs belongs to the network namespace; in the host's it can only be bound, not mounted by a user namespace.
        fixed.append(Mount("/sys", "bind", "/sys", ("rbind", *_HARD, writable)))
    bound = [
        Mount(volume.bind, "bind", volume.source, ("rbind", "rprivate", "ro" if volume.read_only else "rw"))
        for volume in options.volumes
    ]
    return (*fixed, *bound)


def _namespaces(options: Options, *, rootless: bool) -> tuple[Namespace, ...]:
    kinds = ["pid", "mount", "ipc", "uts", "cgroup"]
    if options.network_mode == "none":
        kinds.append("network")
    if rootless:
        kinds.append("user")
    return tuple(Namespace(kind) for kind in kinds)


def _mappings(kind: str) -> tuple[IdMapping, ...]:
    maps = userns.own_maps()
    ranges = maps.uids if kind == "uids" else maps.gids
    return tuple(IdMapping(container_id=r.inside, host_id=r.outside, size=r.length) for r in ranges)


def _resources(options: Options) -> Resources:
    every = (DeviceRule(allow=True, access="rwm"),)
    return options.constraints.resources(every if options.privileged else _DEVICE_RULES)


def _seccomp(options: Options) -> dict[str, object] | None:
    # As docker does it: a policy that somebody has chosen holds for a privileged container, too.
    if options.seccomp is False or (options.seccomp is True and options.privileged):
        return None
    policy = seccomp.docker_default() if options.seccomp is True else options.seccomp
    return seccomp.resolve(policy, capabilities=[capability.name for capability in options.capabilities])
