"""From an image and `Options` to the bundle's config.json: docker's defaults written in the OCI's words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from labcontainer.engine import filesystems, user
from labcontainer.engine.options import Options
from labcontainer.errors import UsageError
from labcontainer.image.image import Image
from labcontainer.kernel import seccomp, userns
from labcontainer.oci.resources import DeviceRule, Resources
from labcontainer.oci.runtime_spec import (
    Capabilities,
    IdMapping,
    Linux,
    Process,
    Root,
    Spec,
)
from labcontainer.runtime import devices

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The oldest version that has all that is used here: a runtime refuses a bundle that is newer than itself.
_OCI_VERSION = "1.0.2"

# What docker hides, and what it lets be read only (moby: oci/defaults.go).
_MASKED = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
)  # fmt: skip
_READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_DEVICE_RULES = (DeviceRule(allow=False, access="rwm"), *devices.RULES)


def spec(
    image: Image, options: Options, lowerdirs: Sequence[Path], id: str, *, names: Path, cgroup_path: str | None
) -> Spec:
    """The configuration of one container; `names` is the directory that has its /etc/hosts and its kind.

    Raises: UsageError where there is no command, or the user is not in the image.
    See: runtime-spec v1.2.0 config.md, image-spec v1.1.0 conversion.md
    """
    rootless = os.geteuid() != 0
    name = options.names.of(id, host_network=options.sharing.host_network)
    masks = options.security.masks
    return Spec(
        oci_version=_OCI_VERSION,
        process=_process(image, options, lowerdirs, name),
        root=Root(path="rootfs", readonly=options.read_only),
        hostname=name if "uts" in options.sharing.own() else None,
        mounts=filesystems.every(options, names, rootless=rootless),
        annotations={**options.labels, **options.annotations},
        linux=Linux(
            namespaces=options.sharing.namespaces(),
            uid_mappings=_mappings("uids") if rootless else (),
            gid_mappings=_mappings("gids") if rootless else (),
            cgroups_path=cgroup_path,
            resources=_resources(options),
            seccomp=_seccomp(options),
            devices=() if rootless else options.devices.nodes(),
            rootfs_propagation=_propagation(options),
            sysctl=_sysctls(options),
            masked_paths=_MASKED if masks else (),
            readonly_paths=_READONLY if masks else (),
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


def _process(image: Image, options: Options, lowerdirs: Sequence[Path], hostname: str) -> Process:
    defaults = image.config.config
    names = tuple(sorted(cap.name for cap in options.security.capabilities))
    who = user.resolve(options.user if options.user is not None else defaults.user or "", lowerdirs, options.group_add)
    # Somebody other than root starts without effective capabilities; what stays bounds set-user-ID programs.
    held = names if who.uid == 0 else ()
    return Process(
        terminal=options.tty,
        user=who,
        args=arguments(image, options),
        env=_environment(defaults.env, options, hostname),
        cwd=options.working_dir or defaults.working_dir or "/",
        capabilities=Capabilities(bounding=names, effective=held, permitted=held, inheritable=(), ambient=()),
        rlimits=options.rlimits,
        no_new_privileges=options.security.no_new_privileges or os.geteuid() != 0,
        oom_score_adj=options.constraints.oom_score_adj,
    )


def _environment(defaults: Sequence[str], options: Options, hostname: str) -> tuple[str, ...]:
    merged = dict(text.partition("=")[::2] for text in (_PATH, f"HOSTNAME={hostname}", "HOME=/root"))
    if options.tty:
        merged["TERM"] = "xterm"
    for text in (*defaults, *options.environment):
        key, _, value = text.partition("=")
        merged[key] = value
    return tuple(f"{key}={value}" for key, value in merged.items())


def _mappings(kind: str) -> tuple[IdMapping, ...]:
    maps = userns.own_maps()
    ranges = maps.uids if kind == "uids" else maps.gids
    return tuple(IdMapping(container_id=r.inside, host_id=r.outside, size=r.length) for r in ranges)


def _resources(options: Options) -> Resources:
    every = (DeviceRule(allow=True, access="rwm"),)
    rules = every if options.security.privileged else (*_DEVICE_RULES, *options.devices.allowed())
    return options.constraints.resources(rules)


def _seccomp(options: Options) -> dict[str, object] | None:
    # As docker does it: a policy that somebody has chosen holds for a privileged container, too.
    chosen = options.security
    if chosen.seccomp is False or (chosen.seccomp is True and chosen.privileged):
        return None
    policy = seccomp.docker_default() if chosen.seccomp is True else chosen.seccomp
    return seccomp.resolve(policy, capabilities=[capability.name for capability in chosen.capabilities])


def _sysctls(options: Options) -> dict[str, str]:
    # Runtimes before version 1.1 of the specification know no domainname; all of them know this.
    domain = options.names.domainname
    return {**({"kernel.domainname": domain} if domain else {}), **options.sysctls}


def _propagation(options: Options) -> str | None:
    """What other runtimes need to see mounts come and go: their root stays where the host's mounts are heard of."""
    words = {word.removeprefix("r") for each in options.mounts for word in each.options}
    return "rshared" if "shared" in words else "rslave" if "slave" in words else None
