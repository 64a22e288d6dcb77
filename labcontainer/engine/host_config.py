"""``HostConfig`` of docker's inspect: what of the host a container was given, and how much of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labcontainer.engine import devices, limits, mount_syntax, options, rlimits, upkeep
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
        "Binds": _binds(settings) or None,
        "ContainerIDFile": "",
        "LogConfig": {
            "Type": upkeep.log_driver(settings.get("log_config")),
            "Config": upkeep.log_options(settings.get("log_config")),
        },
        "NetworkMode": each.network,
        "PortBindings": {},
        "RestartPolicy": {"Name": request.restart.policy, "MaximumRetryCount": request.restart.retries},
        "AutoRemove": request.remove,
        "CapAdd": list(settings.get("cap_add") or ()) or None,
        "CapDrop": list(settings.get("cap_drop") or ()) or None,
        "CgroupnsMode": str(settings.get("cgroupns") or "private"),
        "GroupAdd": list(settings.get("group_add") or ()) or None,
        "IpcMode": str(settings.get("ipc_mode") or "private"),
        "PidMode": str(settings.get("pid_mode") or ""),
        "Privileged": bool(settings.get("privileged")),
        "ReadonlyRootfs": bool(spec.get("root", {}).get("readonly")),
        "SecurityOpt": _security(settings) or None,
        "UTSMode": str(settings.get("uts_mode") or ""),
        "UsernsMode": str(settings.get("userns_mode") or ""),
        "ShmSize": _shm_bytes(spec),
        "Runtime": "labcontainer",
        "Init": request.init,
        "CgroupParent": str(settings.get("cgroup_parent") or ""),
        "Ulimits": [rlimits.document(one) for one in spec.get("process", {}).get("rlimits", ())],
        **_names(settings),
        **_files(settings),
        **_limits(_constraints(settings)),
        "MaskedPaths": list(linux.get("maskedPaths", ())),
        "ReadonlyPaths": list(linux.get("readonlyPaths", ())),
    }


def _names(settings: Mapping[str, Any]) -> dict[str, Any]:
    hosts = settings.get("extra_hosts") or ()
    pairs = [f"{name}:{address}" for name, address in hosts.items()] if isinstance(hosts, Mapping) else hosts
    return {
        "Dns": list(settings.get("dns") or ()),
        "DnsOptions": list(settings.get("dns_opt") or ()),
        "DnsSearch": list(settings.get("dns_search") or ()),
        "ExtraHosts": [text.replace("=", ":", 1) for text in pairs] or None,
    }


def _files(settings: Mapping[str, Any]) -> dict[str, Any]:
    given = settings.get("tmpfs") or ()
    pairs = given.items() if isinstance(given, Mapping) else [text.partition(":")[::2] for text in given]
    found: dict[str, Any] = {
        "Devices": [
            {"PathOnHost": one.source, "PathInContainer": one.destination, "CgroupPermissions": one.access}
            for one in map(devices.wanted, settings.get("devices") or ())
        ],
        "DeviceCgroupRules": list(settings.get("device_cgroup_rules") or ()) or None,
    }
    # As in docker, these are there only where somebody has asked for one.
    optional = {
        "Tmpfs": dict(pairs),
        "Sysctls": options.sysctl_pairs(settings.get("sysctls")),
        "Annotations": options.metadata("annotation", settings.get("annotations")),
        "Mounts": [mount_syntax.document(one) for one in settings.get("mounts") or ()],
    }
    return {**found, **{name: value for name, value in optional.items() if value}}


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


def _binds(settings: Mapping[str, Any]) -> list[str]:
    return [":".join(filter(None, one)) for one in mount_syntax.volumes(settings.get("volumes"))]


def _security(settings: Mapping[str, Any]) -> list[str]:
    found = list(settings.get("security_opt") or ())
    found += ["no-new-privileges"] if settings.get("no_new_privileges") else []
    return found if settings.get("seccomp", True) else [*found, "seccomp=unconfined"]


def _shm_bytes(spec: Mapping[str, Any]) -> int:
    for mount in spec.get("mounts", ()):
        if mount.get("destination") == "/dev/shm":
            sizes = [one.removeprefix("size=") for one in mount.get("options", ()) if one.startswith("size=")]
            return limits.size_bytes("shm-size", sizes[-1]) if sizes else 0
    return 0
