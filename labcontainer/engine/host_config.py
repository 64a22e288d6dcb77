"""``HostConfig`` of docker's inspect: what of the host a container was given, and how much of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labcontainer.engine import limits
from labcontainer.engine.limits import Constraints
from labcontainer.engine.summary import Summary
from labcontainer.errors import LabError
from labcontainer.runtime.request import Request

# docker's field → docker-py's keyword; what is not set is 0, as in docker.
_NUMBERS = {
    "CpuShares": "cpu_shares",
    "Memory": "mem_limit",
    "NanoCpus": "nano_cpus",
    "BlkioWeight": "blkio_weight",
    "CpuPeriod": "cpu_period",
    "CpuQuota": "cpu_quota",
    "MemoryReservation": "mem_reservation",
    "OomScoreAdj": "oom_score_adj",
}
_RATES = {
    "BlkioDeviceReadBps": "device_read_bps",
    "BlkioDeviceWriteBps": "device_write_bps",
    "BlkioDeviceReadIOps": "device_read_iops",
    "BlkioDeviceWriteIOps": "device_write_iops",
}


def of(each: Summary, request: Request, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The object for one container; `spec` is its bundle's config.json."""
    settings, linux = each.record.settings, spec.get("linux", {})
    return {
        "Binds": [_bind(mount) for mount in each.mounts() if mount["Type"] == "bind"] or None,
        "LogConfig": {"Type": "none" if request.log is None else "json-file", "Config": dict(request.log or {})},
        "NetworkMode": each.network,
        "PortBindings": {},
        "RestartPolicy": {"Name": request.restart.policy, "MaximumRetryCount": request.restart.retries},
        "AutoRemove": request.remove,
        "CapAdd": list(settings.get("cap_add") or ()) or None,
        "CapDrop": list(settings.get("cap_drop") or ()) or None,
        "CgroupnsMode": _namespace(linux, "cgroup"),
        "IpcMode": _namespace(linux, "ipc"),
        "PidMode": "",
        "Privileged": bool(settings.get("privileged")),
        "ReadonlyRootfs": bool(spec.get("root", {}).get("readonly")),
        "SecurityOpt": _security(settings) or None,
        "UTSMode": "",
        "UsernsMode": "",
        "ShmSize": _shm_bytes(spec),
        "Runtime": "labcontainer",
        "Init": request.init,
        "CgroupParent": "",
        "Sysctls": dict(linux.get("sysctl", {})),
        **_limits(_constraints(settings)),
        "MaskedPaths": list(linux.get("maskedPaths", ())),
        "ReadonlyPaths": list(linux.get("readonlyPaths", ())),
    }


def _limits(chosen: Constraints) -> dict[str, Any]:
    swap = chosen.memswap_limit
    if swap is None and chosen.mem_limit is not None:
        swap = -1 if chosen.mem_limit == -1 else 2 * chosen.mem_limit  # docker's default: as much swap as memory
    return {
        **{field: getattr(chosen, keyword) or 0 for field, keyword in _NUMBERS.items()},
        "MemorySwap": swap or 0,
        "MemorySwappiness": chosen.mem_swappiness,
        "OomKillDisable": bool(chosen.oom_kill_disable),
        "PidsLimit": chosen.pids_limit,
        "CpusetCpus": chosen.cpuset_cpus or "",
        "CpusetMems": chosen.cpuset_mems or "",
        "BlkioWeightDevice": [{"Path": one.path, "Weight": one.weight} for one in chosen.blkio_weight_device],
        **{
            field: [{"Path": one.path, "Rate": one.rate} for one in getattr(chosen, keyword)]
            for field, keyword in _RATES.items()
        },
    }


def _constraints(settings: Mapping[str, Any]) -> Constraints:
    try:
        return limits.parse({name: settings[name] for name in limits.NAMES if name in settings})
    except LabError:
        return Constraints()  # this machine has less than it had when the container was made


def _bind(mount: Mapping[str, Any]) -> str:
    return f"{mount['Source']}:{mount['Destination']}{'' if mount['RW'] else ':ro'}"


def _namespace(linux: Mapping[str, Any], kind: str) -> str:
    return "private" if any(one.get("type") == kind for one in linux.get("namespaces", ())) else "host"


def _security(settings: Mapping[str, Any]) -> list[str]:
    found = ["no-new-privileges"] if settings.get("no_new_privileges") else []
    return found if settings.get("seccomp", True) else [*found, "seccomp=unconfined"]


def _shm_bytes(spec: Mapping[str, Any]) -> int:
    for mount in spec.get("mounts", ()):
        if mount.get("destination") == "/dev/shm":
            sizes = [one.removeprefix("size=") for one in mount.get("options", ()) if one.startswith("size=")]
            return limits.size_bytes("shm-size", sizes[-1]) if sizes else 0
    return 0
