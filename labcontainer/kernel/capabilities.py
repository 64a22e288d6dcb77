"""Capabilities: root's power cut into forty-one pieces, and which of them a process holds.

    >>> from labcontainer.kernel import capabilities
    >>> sorted(capabilities.read("self").effective)[:2]
    [<Capability.CAP_CHOWN: 0>, <Capability.CAP_DAC_OVERRIDE: 1>]

A thread has five sets. *Effective* is what the Linux kernel checks; *permitted* what may be made effective;
*inheritable* and *ambient* what an execve carries over; *bounding* what it can bring at all. Lesson 10 teaches them.

Giving up privilege is done in this order, because each step needs a piece that the next one gives away::

    drop_bounding   needs CAP_SETPCAP
    setresuid       needs CAP_SETUID (and PR_SET_KEEPCAPS, or permitted is emptied by it)
    capset          what remains
    set_ambient     only what is permitted and inheritable

What is left out: file capabilities (setcap), securebits.
"""

from __future__ import annotations

import enum
import functools
import itertools
import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from labcontainer.errors import KernelError, UsageError
from labcontainer.kernel import file, proc
from labcontainer.kernel.libc import Buffer, invoke
from labcontainer.kernel.notation import Fields
from labcontainer.kernel.process import Prctl, prctl


class Capability(enum.IntEnum):
    """The capabilities by number, as in ``linux/capability.h`` of Linux 5.9 to 6.18."""

    CAP_CHOWN = 0
    CAP_DAC_OVERRIDE = 1
    CAP_DAC_READ_SEARCH = 2
    CAP_FOWNER = 3
    CAP_FSETID = 4
    CAP_KILL = 5
    CAP_SETGID = 6
    CAP_SETUID = 7
    CAP_SETPCAP = 8
    CAP_LINUX_IMMUTABLE = 9
    CAP_NET_BIND_SERVICE = 10
    CAP_NET_BROADCAST = 11
    CAP_NET_ADMIN = 12
    CAP_NET_RAW = 13
    CAP_IPC_LOCK = 14
    CAP_IPC_OWNER = 15
    CAP_SYS_MODULE = 16
    CAP_SYS_RAWIO = 17
    CAP_SYS_CHROOT = 18
    CAP_SYS_PTRACE = 19
    CAP_SYS_PACCT = 20
    CAP_SYS_ADMIN = 21
    CAP_SYS_BOOT = 22
    CAP_SYS_NICE = 23
    CAP_SYS_RESOURCE = 24
    CAP_SYS_TIME = 25
    CAP_SYS_TTY_CONFIG = 26
    CAP_MKNOD = 27
    CAP_LEASE = 28
    CAP_AUDIT_WRITE = 29
    CAP_AUDIT_CONTROL = 30
    CAP_SETFCAP = 31
    CAP_MAC_OVERRIDE = 32
    CAP_MAC_ADMIN = 33
    CAP_SYSLOG = 34
    CAP_WAKE_ALARM = 35
    CAP_BLOCK_SUSPEND = 36
    CAP_AUDIT_READ = 37
    CAP_PERFMON = 38
    CAP_BPF = 39
    CAP_CHECKPOINT_RESTORE = 40


ALL = frozenset(Capability)

# What docker gives to root in a container. See https://docs.docker.com/engine/security/#linux-kernel-capabilities
DOCKER_DEFAULT = frozenset(
    {
        Capability.CAP_AUDIT_WRITE,
        Capability.CAP_CHOWN,
        Capability.CAP_DAC_OVERRIDE,
        Capability.CAP_FOWNER,
        Capability.CAP_FSETID,
        Capability.CAP_KILL,
        Capability.CAP_MKNOD,
        Capability.CAP_NET_BIND_SERVICE,
        Capability.CAP_NET_RAW,
        Capability.CAP_SETFCAP,
        Capability.CAP_SETGID,
        Capability.CAP_SETPCAP,
        Capability.CAP_SETUID,
        Capability.CAP_SYS_CHROOT,
    }
)


class Version(enum.IntEnum):
    """Versions of capget's and capset's structures: with the third each set has 64 bits, in two words of 32."""

    _LINUX_CAPABILITY_VERSION_3 = 0x20080522


class Ambient(enum.IntEnum):
    """What PR_CAP_AMBIENT does (``linux/prctl.h``)."""

    PR_CAP_AMBIENT_RAISE = 2
    PR_CAP_AMBIENT_CLEAR_ALL = 4


@dataclass(frozen=True, slots=True)
class Sets:
    """The five sets of one thread."""

    bounding: frozenset[Capability]
    effective: frozenset[Capability]
    inheritable: frozenset[Capability]
    permitted: frozenset[Capability]
    ambient: frozenset[Capability]


def read(pid: int | str = "self") -> Sets:
    """The five sets of process `pid`, as the Linux kernel shows them.

    Raises: KernelError where the process is gone. See: man 5 proc (/proc/pid/status, CapBnd)
    """
    status = proc.status(pid)
    return Sets(*(_from_mask(int(status[f"Cap{field}"], 16)) for field in ("Bnd", "Eff", "Inh", "Prm", "Amb")))


def capget(pid: int = 0) -> tuple[frozenset[Capability], frozenset[Capability], frozenset[Capability]]:
    """The (effective, permitted, inheritable) sets of thread `pid`; 0 is the caller.

    Raises: KernelError (ESRCH: no such thread). See: man 2 capget
    """
    datap = Buffer(bytes(24), _shown)
    invoke("capget", hdrp=_header(pid), datap=datap)
    return _unpacked(bytes(datap))


def capset(
    effective: Iterable[Capability], permitted: Iterable[Capability], inheritable: Iterable[Capability] = ()
) -> None:
    """Replace three of this thread's sets at once; only what is permitted now can be in them.

    Raises: KernelError (EPERM: more than is permitted). See: man 2 capset, man 7 capabilities
    """
    masks = [_mask(caps) for caps in (effective, permitted, inheritable)]
    data = struct.pack("=6I", *(mask & 0xFFFFFFFF for mask in masks), *(mask >> 32 for mask in masks))
    invoke("capset", hdrp=_header(0), datap=Buffer(data, _shown))


def drop_bounding(keep: Collection[Capability]) -> None:
    """Take everything but `keep` out of the bounding set; there is no way back, not even for set-user-ID root.

    Needs: CAP_SETPCAP, except where there is nothing to drop. Raises: KernelError (EPERM). See: man 7 capabilities
    """
    highest = last()
    # A Linux newer than our table has capabilities without a name here: they go, too, by number.
    for capability in itertools.chain(Capability, range(len(Capability), highest + 1)):
        # A bit that is clear already may be dropped again: asking first would cost as much.
        if capability <= highest and capability not in keep:
            prctl(Prctl.PR_CAPBSET_DROP, capability)


def set_ambient(ambient: Iterable[Capability]) -> None:
    """Make `ambient` the set that a program without file capabilities keeps through execve.

    Needs: each in permitted and in inheritable. Raises: KernelError (EPERM). See: man 2 prctl (PR_CAP_AMBIENT)
    """
    prctl(Prctl.PR_CAP_AMBIENT, Ambient.PR_CAP_AMBIENT_CLEAR_ALL)
    for capability in ambient:
        prctl(Prctl.PR_CAP_AMBIENT, Ambient.PR_CAP_AMBIENT_RAISE, capability)


@functools.cache
def last() -> int:
    """The highest capability that this Linux kernel knows.

    See: man 7 capabilities (/proc/sys/kernel/cap_last_cap)
    """
    try:
        return int(file.read("/proc/sys/kernel/cap_last_cap"))
    except KernelError:
        # A root without /proc: a number too high is refused by prctl, one too low would leave power behind.
        return max(Capability)


def parse(names: Iterable[str]) -> frozenset[Capability]:
    """The capabilities called `names`, in any case, with or without ``CAP_``; ``ALL`` is every one.

    Raises: UsageError. See: man 7 capabilities
    """
    found: set[Capability] = set()
    for name in names:
        text = name.upper().removeprefix("CAP_")
        if text == "ALL":
            return ALL
        try:
            found.add(Capability[f"CAP_{text}"])
        except KeyError:
            raise UsageError("capability", name, "there is none of that name; see man 7 capabilities") from None
    return frozenset(found)


def _header(pid: int) -> Buffer:
    version = Version._LINUX_CAPABILITY_VERSION_3
    return Buffer(struct.pack("=Ii", version, pid), version=version, pid=pid)


def _unpacked(data: bytes) -> tuple[frozenset[Capability], frozenset[Capability], frozenset[Capability]]:
    low, high = struct.unpack("=3I", data[:12]), struct.unpack("=3I", data[12:])
    effective, permitted, inheritable = (_from_mask(low[i] | high[i] << 32) for i in range(3))
    return effective, permitted, inheritable


def _shown(data: bytes) -> Fields:
    return Fields(zip(("effective", "permitted", "inheritable"), _unpacked(data), strict=True))


def _mask(capabilities: Iterable[Capability]) -> int:
    mask = 0
    for capability in capabilities:
        mask |= 1 << capability
    return mask


def _from_mask(mask: int) -> frozenset[Capability]:
    return frozenset(capability for capability in Capability if mask >> capability & 1)
