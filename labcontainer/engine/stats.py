"""``container.stats()``: what a container uses, in docker's JSON, every number from its cgroup.

    {"read": "2026-…Z", "preread": "…", "id": "…", "name": "/quiet_reef", "num_procs": 0,
     "cpu_stats": {"cpu_usage": {"total_usage": ns, …}, "system_cpu_usage": ns, "online_cpus": 2, "throttling_data": …},
     "precpu_stats": the sample before, from which docker reckons per cent,
     "memory_stats": {"usage": bytes, "limit": bytes, "stats": {"inactive_file": bytes, …}},
     "pids_stats": {"current": 3, "limit": 50}, "blkio_stats": {"io_service_bytes_recursive": […]},
     "networks": {"eth0": {"rx_bytes": …}}, "pressure": {"memory": {"some": {"avg10": …}, "full": …}, …}}

`pressure` is ours alone; so is `cgroup_stats`, how often limits were met. What the host does not count is null.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from labcontainer.engine import record
from labcontainer.errors import HostError, LabError, NotFound
from labcontainer.kernel import cgroup, namespaces, proc
from labcontainer.kernel.cgroup import Cgroup, Usage
from labcontainer.runtime import log, state
from labcontainer.runtime.changes import Changes
from labcontainer.runtime.state import State

INTERVAL_S = 1.0
_NEVER = "0001-01-01T00:00:00Z"
_NS_PER_USEC = 1000
_PRESSURES = ("cpu", "memory", "io")


def sample(directory: Path) -> dict[str, Any]:
    """What the container in `directory` uses now; of one that does not run, docker's empty answer.

    Raises: NotFound; HostError (it runs without a cgroup, so nobody counts).
    """
    now, name = state.observe(directory), record.read(directory).name
    document: dict[str, Any] = {
        "read": _NEVER, "preread": _NEVER, "pids_stats": {}, "blkio_stats": {}, "num_procs": 0, "storage_stats": {},
        "cpu_stats": _no_cpu(), "precpu_stats": _no_cpu(), "memory_stats": {}, "name": f"/{name}", "id": directory.name,
    }  # fmt: skip
    if now.init is None or not now.init.alive():
        return document
    group = counted(now)
    used = group.usage()
    if not used.anything:
        return document  # it ended while we looked
    return {
        **document,
        "read": log.timestamp(time.time_ns()),
        "cpu_stats": _cpu(used),
        "memory_stats": _memory(used),
        "pids_stats": {"current": used.pids, "limit": _limit(group)},
        "blkio_stats": _block_io(used),
        "pressure": {name: _pressure(group, name) for name in _PRESSURES},
        "cgroup_stats": asdict(group.events()),
        **_networks(now),
    }


def counted(now: State) -> Cgroup:
    """The cgroup that counts what a container in this state uses. Raises: HostError (it has none)."""
    if now.cgroup is None:
        cgroup.host().writable_base()  # raises, with the command that delegates one
        raise HostError("numbers of this container", "stop it and start it again", "it was made without a cgroup")
    return cgroup.open(now.cgroup)


def with_previous(now: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    """`now` with the sample `before` beside it, so that per cent can be reckoned."""
    if before is None:
        return now
    return {**now, "preread": before["read"], "precpu_stats": before["cpu_stats"]}


def once(directory: Path) -> dict[str, Any]:
    """Two samples, a second apart, as one document: what docker answers without a stream. Raises as `sample`."""
    before = sample(directory)
    if before["read"] == _NEVER:
        return before
    time.sleep(INTERVAL_S)
    return with_previous(sample(directory), before)


def follow(directory: Path, changes: Changes) -> Generator[dict[str, Any], None, None]:
    """A document each second, until the container is removed or `changes` is cancelled. Raises as `sample`."""
    before: dict[str, Any] | None = None
    with changes:
        while not changes.cancelled:
            deadline = time.monotonic() + INTERVAL_S
            try:
                now = sample(directory)
            except NotFound:
                return
            yield with_previous(now, before)
            before = now
            while not changes.cancelled and (left := deadline - time.monotonic()) > 0:
                changes.wait(left)


def cpu_percent(document: dict[str, Any]) -> float | None:
    """How much of one CPU was used since the sample before, in per cent; None where there was none.

    See: https://docs.docker.com/reference/cli/docker/container/stats/
    """
    now, before = document["cpu_stats"], document["precpu_stats"]
    machine = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    if not before.get("system_cpu_usage") or machine <= 0:
        return None
    used = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    return float(max(0.0, used / machine * now["online_cpus"] * 100))


def memory_bytes(document: dict[str, Any]) -> int | None:
    """The memory that docker shows: without the cache that is given up first."""
    memory = document["memory_stats"]
    if not memory:
        return None
    stat = memory["stats"]
    inactive = stat.get("total_inactive_file", stat.get("inactive_file", 0))
    usage: int = memory["usage"]
    return usage - inactive if inactive < usage else usage


def _no_cpu() -> dict[str, Any]:
    usage = {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}
    return {"cpu_usage": usage, "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0}}


def _cpu(used: Usage) -> dict[str, Any]:
    return {
        "cpu_usage": {
            "total_usage": _ns(used.cpu_usec),
            "usage_in_kernelmode": _ns(used.cpu_system_usec),
            "usage_in_usermode": _ns(used.cpu_user_usec),
        },
        "system_cpu_usage": proc.machine_cpu_ns(),
        "online_cpus": len(cgroup.machine().cpus),
        "throttling_data": {
            "periods": used.cpu_periods or 0,
            "throttled_periods": used.cpu_throttled or 0,
            "throttled_time": _ns(used.cpu_throttled_usec),
        },
    }


def _memory(used: Usage) -> dict[str, Any]:
    if used.memory_bytes is None:
        return {}
    peak = {} if used.memory_peak_bytes is None else {"max_usage": used.memory_peak_bytes}
    return {"usage": used.memory_bytes, **peak, "stats": dict(used.memory_stat), "limit": used.memory_limit_bytes}


def _block_io(used: Usage) -> dict[str, Any]:
    def entries(kinds: tuple[tuple[str, str], ...]) -> list[dict[str, Any]] | None:
        if used.block_io is None:
            return None
        return [
            {"major": disk.major, "minor": disk.minor, "op": word, "value": getattr(disk, field)}
            for disk in used.block_io
            for word, field in kinds
        ]

    return {
        "io_service_bytes_recursive": entries((("read", "read_bytes"), ("write", "write_bytes"))),
        "io_serviced_recursive": entries((("read", "reads"), ("write", "writes"))),
    }


def _limit(group: Cgroup) -> int | None:
    limit = group.limits().pids_max
    return None if limit == -1 else limit


def _pressure(group: Cgroup, name: str) -> dict[str, Any] | None:
    found = group.pressure(name)
    return None if found is None else asdict(found)


def _networks(now: State) -> dict[str, Any]:
    """Interfaces other than the loopback, where the container has a network of its own."""
    assert now.init is not None
    try:
        if namespaces.inode(now.init.pid, "net") == namespaces.inode("self", "net"):
            return {}
        counters = proc.interfaces(now.init.pid)
    except (LabError, OSError):
        return {}
    found = {name: asdict(one) for name, one in counters.items() if name != "lo"}
    return {"networks": found} if found else {}


def _ns(usec: int | None) -> int:
    return (usec or 0) * _NS_PER_USEC
