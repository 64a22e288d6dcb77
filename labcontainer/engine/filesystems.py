"""``mounts`` of config.json: docker's own file systems, the files of `hosts`, and what was asked for."""

from __future__ import annotations

import os
from pathlib import Path

from labcontainer.engine import hosts
from labcontainer.engine.options import Options
from labcontainer.oci.runtime_spec import Mount

_HARD = ("nosuid", "noexec", "nodev")
_HARD_BELOW = ("rnosuid", "rnoexec", "rnodev")


def every(options: Options, names: Path, *, rootless: bool) -> tuple[Mount, ...]:
    """All mounts in their order; `names` is the directory that has the container's /etc/hosts and its kind.

    What somebody mounts at a place of ours takes that place, as in docker: ``-v /dev/shm:/dev/shm``.
    """
    bound = options.devices.binds() if rootless else ()
    taken = {each.destination for each in options.mounts}
    ours = (*_own(options, rootless=rootless), *hosts.mounts(names, read_only=options.read_only))
    kept = [each for each in ours if each.destination not in taken and not _below("/dev", each.destination, taken)]
    return (*kept, *bound, *options.mounts)


def _below(place: str, destination: str, taken: set[str]) -> bool:
    return place in taken and destination.startswith(f"{place}/")


def _own(options: Options, *, rootless: bool) -> list[Mount]:
    found = [
        _proc(options, rootless=rootless),
        Mount("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
        Mount("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")),
        *_ipc(options, rootless=rootless),
        _sys(options),
    ]
    if options.security.writable_cgroups:
        found.append(Mount("/sys/fs/cgroup", "cgroup", "cgroup", (*_HARD, "relatime", "rw")))
    return found


def _proc(options: Options, *, rootless: bool) -> Mount:
    if rootless and options.sharing.pid_mode == "host":
        # Only who owns the PID namespace may mount a /proc of it.
        return Mount("/proc", "bind", "/proc", ("rbind", *_HARD_BELOW))
    return Mount("/proc", "proc", "proc", _HARD)


def _sys(options: Options) -> Mount:
    writable = options.security.privileged
    if options.sharing.network_mode == "host":
        # sysfs belongs to the network namespace; in the host's it can only be bound, not mounted by a user namespace.
        return Mount("/sys", "bind", "/sys", ("rbind", *_HARD_BELOW, *(() if writable else ("rro",))))
    return Mount("/sys", "sysfs", "sysfs", (*_HARD, "rw" if writable else "ro"))


def _ipc(options: Options, *, rootless: bool) -> list[Mount]:
    mode = options.sharing.ipc_mode
    queues = Mount("/dev/mqueue", "mqueue", "mqueue", _HARD)
    if mode == "none":
        return [queues]
    if mode == "host":
        shm = Mount("/dev/shm", "bind", "/dev/shm", ("rbind", *_HARD_BELOW))
        if not rootless:
            return [shm, queues]
        there = os.path.ismount("/dev/mqueue")
        return [shm, Mount("/dev/mqueue", "bind", "/dev/mqueue", ("rbind", *_HARD_BELOW))] if there else [shm]
    if mode.startswith("container:"):
        return [Mount("/dev/shm", "bind", "/proc/0/root/dev/shm", ("bind", *_HARD)), queues]
    size = f"{options.shm_bytes >> 10}k" if options.shm_bytes % 1024 == 0 else str(options.shm_bytes)
    return [Mount("/dev/shm", "tmpfs", "shm", (*_HARD, "mode=1777", f"size={size}")), queues]
