"""Trials: limits, each set on a real group."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from labcontainer.errors import HostError
from labcontainer.kernel import cgroup, file, process
from labcontainer.kernel.cgroup import Cgroup, DeviceRule, Limits
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.kernel.probe import remedy
from labcontainer.kernel.probe.place import Place
from labcontainer.kernel.probe.report import Status
from labcontainer.kernel.probe.trial import Trial, apart, start

_MIB = 1 << 20
# Version 1 weighs I/O in one of the schedulers of a disk, and has no file for it without that.
_REMEDIES = {"io": "sudo modprobe bfq && echo bfq | sudo tee /sys/block/*/queue/scheduler"}


_NO_DEVICE = Limits(devices=(DeviceRule(allow=False, access="rwm"),))
_KILL_REMEDY = (
    "sudo mkdir -p /sys/fs/cgroup/unified && sudo mount -t cgroup2 none /sys/fs/cgroup/unified (Linux 5.14 or later)"
)


def trials(place: Place) -> tuple[Trial, ...]:
    """Making a group, each controller, and what is done to groups as a whole.

    See: man 7 cgroups
    """
    soft = Status.DEGRADED
    return (
        Trial("cgroup", "control groups: a group of one's own", ("08", "09"), _create),
        _limit("memory", "memory limit", ("08",), Limits(memory_bytes=64 * _MIB), "memory_bytes"),
        _limit("cpu", "CPU quota", ("09",), Limits(cpu_quota_usec=50_000, cpu_period_usec=100_000), "cpu_quota_usec"),
        _limit("cpuset", "choice of CPUs", ("09",), Limits(cpuset_cpus=_first_cpu()), "cpuset_cpus", soft),
        _limit("io", "weight of disk I/O", ("09",), Limits(io_weight=50), "io_weight", soft),
        _act("pids", "limit on processes", ("09",), _pids, Limits(pids_max=1)),
        _act("freezer", "pause (freezer)", ("07",), _freeze, failure=soft),
        _act("devices", "which devices may be opened", ("10",), _devices, _NO_DEVICE, soft),
        _act("kill", "killing a whole group at once", ("07", "09"), _kill, failure=soft),
        Trial("psi", "pressure: how long processes wait", ("08",), _pressure, soft, _mend_pressure),
    )


def _limit(
    controller: str, title: str, lessons: tuple[str, ...], limits: Limits, field: str, failure: Status = Status.NO
) -> Trial:
    def read_back(group: Cgroup) -> str:
        wanted, found = getattr(limits, field), getattr(group.limits(), field)
        if found != wanted:
            why = f"{field} was set to {wanted}, and " + (f"is {found}" if found else "no group here has it")
            raise HostError(title, _REMEDIES.get(controller, ""), why)
        group.add(os.getpid())
        return f"{field} of a new group was set to {wanted} and read back"

    return _act(controller, title, lessons, read_back, limits, failure)


def _act(
    id: str,
    title: str,
    lessons: tuple[str, ...],
    act: Callable[[Cgroup], str],
    limits: Limits = Limits(),
    failure: Status = Status.NO,
) -> Trial:
    def attempt(place: Place) -> str:
        with _group() as group:
            group.set(limits)
            # In a child: whoever is in the group must be gone before it can be removed.
            return apart(lambda: act(group))

    return Trial(f"cgroup-{id}", title, lessons, attempt, failure)


@contextmanager
def _group() -> Iterator[Cgroup]:
    group = cgroup.create(f"probe-{os.getpid()}")
    try:
        yield group
    finally:
        group.kill()
        group.remove()


def _create(place: Place) -> str:
    with _group() as group:
        host = cgroup.host()
        return f"{group.directories[0]} was made (cgroup {host.version}; {', '.join(sorted(host.controllers))})"


def _first_cpu() -> str:
    return str(min(os.sched_getaffinity(0)))


def _pids(group: Cgroup) -> str:
    group.add(os.getpid())
    try:
        apart(lambda: None)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return "with pids_max=1 a second process was refused with EAGAIN"
        raise
    raise HostError("a limit on processes", reason="with pids_max=1 a second process was made")


def _freeze(group: Cgroup) -> str:
    group.add(start(signal.pause).pid)
    try:
        group.freeze()
        stopped = group.frozen
    finally:
        # Not even SIGKILL ends a process that is frozen by version 1.
        group.thaw()
    if not stopped or group.frozen:
        raise HostError("the freezer", reason=f"frozen is {stopped} after freeze and {group.frozen} after thaw")
    return "a process in a group was stopped and went on"


def _devices(group: Cgroup) -> str:
    group.add(os.getpid())
    try:
        os.close(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        if error.errno == errno.EPERM:
            return "/dev/null could not be opened where no device is allowed"
        raise
    mend = "sudo -i, and run this as root (an ordinary user's containers have harmless devices alone)"
    raise HostError("rules for devices", mend, "/dev/null was opened where no device is allowed")


def _kill(group: Cgroup) -> str:
    fd = group.directory_fd()
    if fd is None:
        mend = "sudo -i, and run this as root" if cgroup.host().v2 else _KILL_REMEDY
        raise HostError("cgroup.kill", mend, "no cgroup v2 is here for this user: processes are killed one by one")
    try:
        os.stat("cgroup.kill", dir_fd=fd)
    except FileNotFoundError:
        raise HostError("cgroup.kill", _KILL_REMEDY, "this Linux kernel's groups have no cgroup.kill") from None
    child = process.clone3(CloneFlag(0), cgroup=fd)
    if child is None:
        signal.pause()
        os._exit(0)
    group.kill()
    process.wait(child)
    return "a process was born in a group, and a write to cgroup.kill ended it"


def _pressure(place: Place) -> str:
    return f"/proc/pressure/memory says {file.read('/proc/pressure/memory').splitlines()[0]!r}"


def _mend_pressure(error: OSError, place: Place) -> str:
    if error.errno in (errno.ENOENT, errno.EOPNOTSUPP):
        return "add psi=1 to GRUB_CMDLINE_LINUX in /etc/default/grub, then: sudo update-grub && sudo reboot"
    return remedy.general(error, place)
