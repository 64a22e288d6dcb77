"""Trials: the machine itself, and what is around it."""

from __future__ import annotations

import os
import shutil

from labcontainer.kernel import capabilities
from labcontainer.kernel.capabilities import Capability
from labcontainer.kernel.probe import remedy
from labcontainer.kernel.probe.place import Place, memory_bytes
from labcontainer.kernel.probe.report import Status
from labcontainer.kernel.probe.trial import Outcome, Trial

_MIB = 1 << 20
_WANTED_MEMORY_BYTES = 512 * _MIB
_WANTED_FREE_BYTES = 500 * _MIB


def trials(place: Place) -> tuple[Trial, ...]:
    """How much there is of memory, processors and disk, and whether we are in a container ourselves.

    See: man 5 proc
    """
    return (
        Trial("memory", "memory for the experiments", ("08",), _memory, Status.DEGRADED),
        Trial("cpus", "processors to compete for", ("09",), _cpus, Status.DEGRADED),
        Trial("disk", "room for images", ("05", "06"), _disk, Status.DEGRADED),
        Trial("surroundings", "a machine of one's own, not a container", (), _surroundings, Status.DEGRADED),
    )


def _memory(place: Place) -> str | Outcome:
    found = memory_bytes()
    if found >= _WANTED_MEMORY_BYTES:
        return f"{found // _MIB} MiB are available"
    why = f"{found // _MIB} MiB are available, and an experiment fills up to {_WANTED_MEMORY_BYTES // _MIB}"
    return Outcome(Status.DEGRADED, why, "ps aux --sort=-rss | head, and end what is large and not needed")


def _cpus(place: Place) -> str | Outcome:
    found = len(os.sched_getaffinity(0))
    if found > 1:
        return f"{found} processors may be used"
    why = "1 processor may be used: weights show, competition between processors does not"
    return Outcome(Status.DEGRADED, why, "give this machine a second processor (virtual machines: their settings)")


def _disk(place: Place) -> str | Outcome:
    found = shutil.disk_usage(place.state).free
    if found >= _WANTED_FREE_BYTES:
        return f"{found // _MIB} MiB are free in {place.state}"
    why = f"{found // _MIB} MiB are free in {place.state}, and the lessons need {_WANTED_FREE_BYTES // _MIB}"
    return Outcome(Status.DEGRADED, why, "export LABCONTAINER_ROOT=/a/directory/with/more/room")


def _surroundings(place: Place) -> str | Outcome:
    if place.container and Capability.CAP_SYS_ADMIN in capabilities.read().effective:
        return f"this is inside a container ({place.container}) that has root's power"
    if place.container:
        why = f"this is inside a container ({place.container}), which limits what the lessons may do"
        return Outcome(Status.DEGRADED, why, remedy.more_privilege(place))
    if place.sandbox:
        why = "this is inside a user namespace, which limits what the lessons may do"
        return Outcome(Status.DEGRADED, why, remedy.more_privilege(place))
    return "no sign of a container or a sandbox around us"
