"""The specification's resources as the limits of a cgroup, and the update of a live one.

Left out, as runc and crun do: `network` (net_cls and net_prio are version 1's alone, what they mark nothing here reads,
and our containers have their own network namespace); `kernel`, `kernelTCP` and `useHierarchy` of the memory, which the
Linux kernel ignores since 5.16 and the specification advises against.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from labcontainer.errors import HostError, LabError
from labcontainer.kernel import cgroup
from labcontainer.kernel.cgroup import DeviceRule, HugepageLimit, IoLimit, IoWeight, Limits, RdmaLimit
from labcontainer.oci import resources
from labcontainer.oci.resources import BlockIo, Cpu, Memory, Resources

T = TypeVar("T")
# Of these a list has one for each disk, or size.
_ONE_EACH = (resources.ThrottleDevice, resources.WeightDevice, resources.HugepageLimit)
_UNSET_SWAPPINESS = (-1, (1 << 64) - 1)


def limits(wanted: Resources) -> Limits:
    """`wanted` in the words of `kernel.cgroup`. A 0 where nothing can be 0 is what Go writes for "not given".

    Raises: HostError (what no Linux kernel of today has). See: runtime-spec v1.2.0 config-linux.md#control-groups
    """
    memory, cpu, io = wanted.memory or Memory(), wanted.cpu or Cpu(), wanted.block_io or BlockIo()
    pids = wanted.pids.limit if wanted.pids else 0
    _refuse_leaves(io)
    return Limits(
        memory_bytes=memory.limit or None,
        memory_reservation_bytes=memory.reservation or None,
        memory_swap_bytes=memory.swap or None,
        memory_swappiness=None if memory.swappiness in _UNSET_SWAPPINESS else memory.swappiness,
        oom_kill_disable=memory.disable_oom_killer,
        check_before_update=memory.check_before_update,
        cpu_quota_usec=cpu.quota or None,
        cpu_period_usec=cpu.period or None,
        cpu_burst_usec=cpu.burst,
        cpu_shares=cpu.shares or None,
        cpu_idle=None if cpu.idle is None else bool(cpu.idle),
        cpu_realtime_runtime_usec=cpu.realtime_runtime or None,
        cpu_realtime_period_usec=cpu.realtime_period or None,
        cpuset_cpus=cpu.cpus or None,
        cpuset_mems=cpu.mems or None,
        pids_max=None if pids == 0 else max(pids, -1),
        io_weight=io.weight or None,
        io_weights=tuple(IoWeight(one.major, one.minor, one.weight) for one in io.weight_device if one.weight),
        io_limits=_io_limits(io),
        hugepages=tuple(HugepageLimit(huge.page_size, huge.limit) for huge in wanted.hugepage_limits),
        rdma=tuple(RdmaLimit(name, one.hca_handles, one.hca_objects) for name, one in wanted.rdma.items()),
        devices=tuple(
            DeviceRule(rule.allow, rule.type or "a", rule.major, rule.minor, rule.access or "rwm")
            for rule in wanted.devices
        ),
        unified=wanted.unified,
    )


def merged(current: Resources, change: Resources) -> Resources:
    """`current` with everything that `change` names; a disk's rate takes the place of that disk's alone.

    See: runtime-spec v1.2.0 config-linux.md#control-groups
    """
    return _merge(current, change)


def update(group: str | None, current: Resources, change: Resources, *, check_usage: bool | None = None) -> Resources:
    """Have the live cgroup `group` (None: nothing lives) hold `current` with `change`; returns the two as one.

    Only what differs is written. Where the Linux kernel takes a part and refuses the rest, the old values are written
    back. With `check_usage` a memory limit below what is in use is refused, instead of being met by killing.

    Raises: KernelError, HostError, UsageError. See: runtime-spec v1.2.0 config-linux.md#control-groups
    """
    after = merged(current, change)
    was, wanted = limits(current), limits(after)
    if check_usage is not None:
        wanted = replace(wanted, check_before_update=check_usage)
    different = difference(was, wanted)
    if group is not None and different.given():
        live = cgroup.open(group)
        before = live.limits()
        try:
            live.set(different)
        except LabError:
            _restore(live, before, different)
            raise
    return after


def difference(was: Limits, wanted: Limits) -> Limits:
    """What is to be written where `was` stands already. See: runtime-spec v1.2.0 config-linux.md#control-groups"""
    old, new = was.given(), wanted.given()
    changed = {name for name, value in new.items() if old.get(name) != value}
    # These belong together: swap counts memory, and a shorter period with the old quota is another limit.
    for pair in (("memory_bytes", "memory_swap_bytes"), ("cpu_quota_usec", "cpu_period_usec")):
        if changed.intersection(pair):
            changed.update(name for name in pair if name in new)
    if "memory_bytes" not in changed:
        changed.discard("check_before_update")
    return replace(Limits(), **{name: new[name] for name in changed})  # type: ignore[arg-type]


def _restore(live: cgroup.Cgroup, before: Limits, tried: Limits) -> None:
    known = before.given()
    back = {name: known[name] for name in tried.given() if name in known}
    unlimited = (IoLimit(one.major, one.minor, -1, -1, -1, -1) for one in tried.io_limits)
    back["io_limits"] = (*unlimited, *before.io_limits)
    with contextlib.suppress(LabError):  # it is what it was, or the error that is raised tells why it cannot be
        live.set(replace(Limits(), **back))  # type: ignore[arg-type]


def _merge(current: T, change: T) -> T:
    assert is_dataclass(current)
    assert not isinstance(current, type)
    news: dict[str, Any] = {}
    for one in fields(current):
        old, new = getattr(current, one.name), getattr(change, one.name)
        if new is None or new == () or new == {}:
            continue
        if is_dataclass(new) and old is not None:
            news[one.name] = _merge(old, new)
        elif isinstance(new, Mapping):
            news[one.name] = {**old, **new}
        elif isinstance(new, tuple) and isinstance(new[0], _ONE_EACH):
            news[one.name] = tuple({_of_what(each): each for each in (*old, *new)}.values())
        else:
            news[one.name] = new
    return replace(current, **news)


def _of_what(one: Any) -> Any:
    return one.page_size if isinstance(one, resources.HugepageLimit) else (one.major, one.minor)


def _io_limits(io: BlockIo) -> tuple[IoLimit, ...]:
    found: dict[tuple[int, int], IoLimit] = {}
    for field, devices in (
        ("read_bps", io.throttle_read_bps_device),
        ("write_bps", io.throttle_write_bps_device),
        ("read_iops", io.throttle_read_iops_device),
        ("write_iops", io.throttle_write_iops_device),
    ):
        for device in devices:
            place = (device.major, device.minor)
            # 0 is no rate but the end of one, in version 1's own words.
            found[place] = replace(found.get(place, IoLimit(*place)), **{field: device.rate or -1})
    return tuple(found.values())


def _refuse_leaves(io: BlockIo) -> None:
    if io.leaf_weight or any(one.leaf_weight for one in io.weight_device):
        raise HostError(
            "blockIO.leafWeight", "use weight instead", "its scheduler (CFQ) was taken out of the Linux kernel with 5.0"
        )
