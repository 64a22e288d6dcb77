"""When and where the command runs, as config.json says: scheduler, disk priority, CPUs, memory nodes, personality.

Who we are: init or the child of an exec, before privileges are given away.

See: runtime-spec v1.2.0 config.md#linux-process, config-linux.md
"""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from labcontainer.errors import InitError
from labcontainer.kernel import scheduling
from labcontainer.kernel.cgroup.check import numbers
from labcontainer.kernel.scheduling import IoClass, MemoryFlag, MemoryMode, Persona, Policy, SchedFlag
from labcontainer.oci.runtime_spec import Linux, Process

E = TypeVar("E", bound=Enum)
_DOMAINS = {"LINUX": Persona.PER_LINUX, "LINUX32": Persona.PER_LINUX32}


def apply(config: Process) -> None:
    """What the process itself asks for. Raises: InitError (no such name), KernelError."""
    if config.scheduler is not None:
        wanted = config.scheduler
        scheduling.sched_setattr(
            _named(Policy, wanted.policy, "scheduler.policy"),
            SchedFlag(sum(_named(SchedFlag, flag, "scheduler.flags") for flag in set(wanted.flags))),
            nice=wanted.nice,
            priority=wanted.priority,
            runtime_ns=wanted.runtime,
            deadline_ns=wanted.deadline,
            period_ns=wanted.period,
        )
    if config.io_priority is not None:
        priority = config.io_priority
        if not 0 <= priority.priority <= 7:
            raise InitError("limits", f"config.process.ioPriority.priority: {priority.priority} is not 0 to 7")
        scheduling.ioprio_set(_named(IoClass, priority.io_class, "ioPriority.class"), priority.priority)


def apply_all(linux: Linux) -> None:
    """What holds for every process of the container. Raises: InitError, KernelError."""
    if linux.personality is not None:
        if linux.personality.domain not in _DOMAINS or linux.personality.flags:
            raise InitError("limits", "config.linux.personality: choose the domain LINUX or LINUX32, without flags")
        scheduling.personality(_DOMAINS[linux.personality.domain])
    if linux.memory_policy is not None:
        policy = linux.memory_policy
        flags = MemoryFlag(sum(_named(MemoryFlag, flag, "memoryPolicy.flags") for flag in set(policy.flags)))
        scheduling.set_mempolicy(_named(MemoryMode, policy.mode, "memoryPolicy.mode"), flags, cpus(policy.nodes))


def cpus(text: str) -> frozenset[int]:
    """``0-2,5`` as numbers. Raises: InitError."""
    try:
        return numbers(text)
    except ValueError:
        raise InitError("limits", f"{text!r} is no list of CPUs or nodes, such as 0-2,5") from None


def _named(kind: type[E], name: str, where: str) -> E:
    try:
        return kind[name]
    except KeyError:
        raise InitError("limits", f"config.{where}: there is no {name!r}") from None
