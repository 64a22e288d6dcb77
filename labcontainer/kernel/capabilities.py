"""Capabilities: root's power in 41 pieces, and the five sets that a process carries.

    bounding      what it could ever get
    permitted     what it may switch on
    effective     what is on
    inheritable   what a program file may pass on
    ambient       what is passed on without one

Lesson 10 teaches them.
"""

from __future__ import annotations

import enum
import errno
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from labcontainer.errors import KernelError
from labcontainer.kernel import proc
from labcontainer.kernel.libc import buffer, invoke
from labcontainer.kernel.process import Prctl, prctl

_VERSION_3 = 0x20080522  # linux/capability.h: two times 32 bits for each set
_AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 2, 4

class Capability(enum.IntEnum):
    """The capabilities, with their numbers (``linux/capability.h``)."""

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


# What a container holds unless told otherwise (moby: oci/caps/defaults.go).
DOCKER_DEFAULT: frozenset[Capability] = frozenset(
    Capability[f"CAP_{name}"]
    for name in (
        "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
        "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sets:
    """The five sets of one process."""

    bounding: frozenset[Capability]
    effective: frozenset[Capability]
    inheritable: frozenset[Capability]
    permitted: frozenset[Capability]
    ambient: frozenset[Capability]


def read(pid: int | str = "self") -> Sets:
    """The sets of process `pid`, from its status file.

    Raises: KernelError where it is gone. See: man 5 proc (/proc/pid/status, CapInh …)
    """
    status = proc.status(pid)
    keys = ("CapBnd", "CapEff", "CapInh", "CapPrm", "CapAmb")
    return Sets(*(_from_mask(int(status[key], 16)) for key in keys))


def drop_bounding(keep: Iterable[Capability]) -> None:
    """Take every capability but `keep` out of the bounding set, for this process and all that it starts.

    Needs: CAP_SETPCAP. Raises: KernelError. See: man 2 prctl (PR_CAPBSET_DROP)
    """
    kept = frozenset(keep)
    for capability in sorted(read().bounding - kept):
        prctl(Prctl.PR_CAPBSET_DROP, capability)


def capset(
    effective: Iterable[Capability], permitted: Iterable[Capability], inheritable: Iterable[Capability] = ()
) -> None:
    """Set three of the sets of this process; permitted can only shrink.

    Raises: KernelError (EPERM: something is wanted that was not held). See: man 2 capset
    """
    masks = [sum(1 << capability for capability in chosen) for chosen in (effective, permitted, inheritable)]
    low = struct.pack("=3I", *(mask & 0xFFFFFFFF for mask in masks))
    high = struct.pack("=3I", *(mask >> 32 for mask in masks))
    invoke("capset", hdrp=buffer(struct.pack("=Ii", _VERSION_3, 0)), datap=buffer(low + high))


def set_ambient(wanted: Iterable[Capability]) -> None:
    """Make the ambient set exactly `wanted`, each of which must be permitted and inheritable.

    Raises: KernelError. See: man 2 prctl (PR_CAP_AMBIENT)
    """
    try:
        prctl(Prctl.PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    except KernelError as error:
        if error.errno != errno.EINVAL:  # Linux before 4.3 has no ambient set to clear
            raise
    for capability in wanted:
        prctl(Prctl.PR_CAP_AMBIENT, _AMBIENT_RAISE, capability)


def _from_mask(mask: int) -> frozenset[Capability]:
    return frozenset(capability for capability in Capability if mask >> capability & 1)
