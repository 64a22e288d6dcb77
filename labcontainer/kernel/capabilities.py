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

Capability = enum.IntEnum(
    "Capability",
    [
        (f"CAP_{name}", number)
        for number, name in enumerate(
            "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
            "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT "
            "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL "
            "SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF "
            "CHECKPOINT_RESTORE".split()
        )
    ],
)  # linux/capability.h, in the order of their numbers

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
