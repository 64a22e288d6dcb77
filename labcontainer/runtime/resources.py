"""The specification's resources as the limits of a cgroup."""

from __future__ import annotations

from labcontainer.kernel.cgroup import DeviceRule, Limits
from labcontainer.oci.runtime_spec import Resources


def limits(wanted: Resources) -> Limits:
    """`wanted` in the words of `kernel.cgroup`. See: runtime-spec v1.2.0 config-linux.md#control-groups"""
    memory, cpu, pids, io = wanted.memory, wanted.cpu, wanted.pids, wanted.block_io
    return Limits(
        memory_bytes=memory.limit if memory else None,
        memory_reservation_bytes=memory.reservation if memory else None,
        memory_swap_bytes=memory.swap if memory else None,
        cpu_quota_usec=cpu.quota if cpu else None,
        cpu_period_usec=cpu.period if cpu else None,
        cpu_shares=cpu.shares if cpu else None,
        cpuset_cpus=cpu.cpus if cpu else None,
        cpuset_mems=cpu.mems if cpu else None,
        pids_max=pids.limit if pids else None,
        io_weight=io.weight if io else None,
        devices=tuple(
            DeviceRule(rule.allow, rule.type or "a", rule.major, rule.minor, rule.access or "rwm")
            for rule in wanted.devices
        ),
    )
