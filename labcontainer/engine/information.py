"""``engine.info()`` and ``engine.version()``: what this engine is, and on what machine, under docker's field names.

Left out are docker's fields for what there is not here: Swarm, plugins, proxies, a registry's mirrors.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import time
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labcontainer.engine import selection
from labcontainer.kernel import cgroup, proc
from labcontainer.runtime import log

if TYPE_CHECKING:
    from labcontainer.engine.engine import Engine

# Go's names, which docker prints.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def info(engine: Engine) -> dict[str, Any]:
    """The engine and its machine. Raises: SpecError (a damaged index.json)."""
    states = Counter(each.status for each in selection.select(engine, all=True))
    machine = os.uname()
    return {
        "Containers": states.total(),
        "ContainersRunning": states["running"] + states["restarting"],
        "ContainersPaused": states["paused"],
        "ContainersStopped": states["exited"] + states["created"],
        "Images": len(engine.store.images()),
        "Driver": "overlay",
        "DriverStatus": [
            ["Backing Filesystem", _file_system(engine.root)],
            ["userxattr", "true" if os.geteuid() else "false"],
        ],
        "LoggingDriver": "json-file",
        **_cgroups(),
        "KernelVersion": machine.release,
        "OperatingSystem": _operating_system(),
        "OSType": "linux",
        "Architecture": machine.machine,
        "NCPU": len(os.sched_getaffinity(0)),
        "MemTotal": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "DockerRootDir": str(engine.root),
        "RunDir": str(engine.run),
        "Name": machine.nodename,
        "ServerVersion": metadata.version("labcontainer"),
        "SecurityOptions": _security_options(),
        "SystemTime": log.timestamp(time.time_ns()),
        "Warnings": [],
    }


def version() -> dict[str, Any]:
    """What runs here: docker's ``/version``."""
    machine = os.uname()
    architecture = _ARCHITECTURES.get(machine.machine, machine.machine)
    python = platform.python_version()
    details = {"PythonVersion": python, "Os": "linux", "Arch": architecture, "KernelVersion": machine.release}
    return {
        "Platform": {"Name": "labcontainer"},
        "Components": [
            {"Name": "Engine", "Version": metadata.version("labcontainer"), "Details": details},
            {"Name": "Python", "Version": python, "Details": {"Executable": sys.executable}},
        ],
        "Version": metadata.version("labcontainer"),
        "PythonVersion": python,
        "Os": "linux",
        "Arch": architecture,
        "KernelVersion": machine.release,
    }


def _cgroups() -> dict[str, Any]:
    host = cgroup.host()
    controllers = host.controllers
    has = {
        "MemoryLimit": "memory",
        "SwapLimit": "memory",
        "CpuCfsPeriod": "cpu",
        "CpuCfsQuota": "cpu",
        "CPUShares": "cpu",
        "CPUSet": "cpuset",
        "PidsLimit": "pids",
    }
    return {
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": "2" if host.version == "v2" else "1",
        "CgroupHierarchies": host.version,
        **{name: controller in controllers for name, controller in has.items()},
        "OomKillDisable": host.version != "v2" and "memory" in controllers,
    }


def _operating_system() -> str:
    with contextlib.suppress(OSError):
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    return "Linux"


def _file_system(path: Path) -> str:
    above = [path.resolve(), *path.resolve().parents]
    mounts = {mount.target: mount.filesystemtype for mount in proc.mountinfo()}
    return next((mounts[str(each)] for each in above if str(each) in mounts), "unknown")


def _security_options() -> list[str]:
    found = ["name=seccomp,profile=builtin"]
    if os.geteuid() != 0:
        found.append("name=rootless")
    if cgroup.host().version == "v2":
        found.append("name=cgroupns")
    return found
