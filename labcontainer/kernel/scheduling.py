"""When a process runs, on which CPUs, with whose memory, and in what order its disk requests are served."""

from __future__ import annotations

import enum
import os
import struct
from collections.abc import Collection

from labcontainer.kernel.libc import Buffer, invoke, observe


class Policy(enum.IntEnum):
    """How the scheduler treats a process (``linux/sched.h``)."""

    SCHED_OTHER = 0
    SCHED_FIFO = 1
    SCHED_RR = 2
    SCHED_BATCH = 3
    SCHED_ISO = 4
    SCHED_IDLE = 5
    SCHED_DEADLINE = 6


class SchedFlag(enum.IntFlag):
    """Flags of sched_setattr(2)."""

    SCHED_FLAG_RESET_ON_FORK = 0x01
    SCHED_FLAG_RECLAIM = 0x02
    SCHED_FLAG_DL_OVERRUN = 0x04
    SCHED_FLAG_KEEP_POLICY = 0x08
    SCHED_FLAG_KEEP_PARAMS = 0x10
    SCHED_FLAG_UTIL_CLAMP_MIN = 0x20
    SCHED_FLAG_UTIL_CLAMP_MAX = 0x40


class IoClass(enum.IntEnum):
    """Classes of disk requests (``linux/ioprio.h``)."""

    IOPRIO_CLASS_RT = 1
    IOPRIO_CLASS_BE = 2
    IOPRIO_CLASS_IDLE = 3


class IoWho(enum.IntEnum):
    """Whose priority ioprio_set(2) sets."""

    IOPRIO_WHO_PROCESS = 1


class MemoryMode(enum.IntEnum):
    """From which nodes memory comes (``linux/mempolicy.h``)."""

    MPOL_DEFAULT = 0
    MPOL_PREFERRED = 1
    MPOL_BIND = 2
    MPOL_INTERLEAVE = 3
    MPOL_LOCAL = 4
    MPOL_PREFERRED_MANY = 5
    MPOL_WEIGHTED_INTERLEAVE = 6


class MemoryFlag(enum.IntFlag):
    """Flags beside the mode."""

    MPOL_F_NUMA_BALANCING = 1 << 13
    MPOL_F_RELATIVE_NODES = 1 << 14
    MPOL_F_STATIC_NODES = 1 << 15


class Persona(enum.IntEnum):
    """Execution domains of personality(2)."""

    PER_LINUX = 0
    PER_LINUX32 = 8


def sched_setattr(
    policy: Policy,
    flags: SchedFlag = SchedFlag(0),
    *,
    nice: int = 0,
    priority: int = 0,
    runtime_ns: int = 0,
    deadline_ns: int = 0,
    period_ns: int = 0,
) -> None:
    """Choose how this process is scheduled.

    Needs: CAP_SYS_NICE for a real-time policy or a lower nice value. Raises: KernelError. See: man 2 sched_setattr
    """
    # struct sched_attr { u32 size, policy; u64 flags; s32 nice; u32 priority; u64 runtime, deadline, period; }
    size = struct.calcsize("=IIQiIQQQ")
    packed = struct.pack("=IIQiIQQQ", size, policy, flags, nice, priority, runtime_ns, deadline_ns, period_ns)
    attr = Buffer(packed, sched_policy=policy, sched_flags=flags, sched_nice=nice, sched_priority=priority)
    invoke("sched_setattr", pid=0, attr=attr, flags=0)


def sched_setaffinity(cpus: Collection[int]) -> None:
    """Let this process run on these CPUs alone.

    Raises: KernelError (EINVAL: none of them is online, or in the cpuset). See: man 2 sched_setaffinity
    """
    observe("sched_setaffinity", os.sched_setaffinity, pid=0, mask=set(cpus))


def ioprio_set(io_class: IoClass, priority: int) -> None:
    """Choose how this process's disk requests are served; `priority` is 0 (first) to 7.

    Needs: CAP_SYS_ADMIN or CAP_SYS_NICE for IOPRIO_CLASS_RT. Raises: KernelError. See: man 2 ioprio_set
    """
    invoke("ioprio_set", which=IoWho.IOPRIO_WHO_PROCESS, who=0, ioprio=io_class << 13 | priority)


def set_mempolicy(mode: MemoryMode, flags: MemoryFlag, nodes: Collection[int]) -> None:
    """Choose the nodes from which this process's memory comes.

    Raises: KernelError (ENOSYS without NUMA, EINVAL: no such node). See: man 2 set_mempolicy
    """
    mask = sum(1 << node for node in nodes)
    size = (max(nodes, default=0) // 64 + 1) * 8
    mask_bytes = Buffer(mask.to_bytes(size, "little"), nodes=sorted(nodes))
    # The Linux kernel takes one bit less than it is told.
    invoke("set_mempolicy", mode=mode | flags, nodemask=mask_bytes if nodes else None, maxnode=size * 8 + 1)


def personality(persona: Persona) -> None:
    """Choose the execution domain, by which `uname -m` answers for a 32-bit machine.

    Raises: KernelError. See: man 2 personality
    """
    invoke("personality", persona=persona)
