"""A time namespace whose clocks are ahead: for a container that was moved, or that believes to have run for long.

Offsets can be written only before the first process is in the namespace. So who makes the container's init has its
children born in a new one, writes the offsets there, and goes back to its own.

See: man 7 time_namespaces, runtime-spec v1.2.0 config-linux.md#offset-for-time-namespace
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

from labcontainer.errors import SpecError
from labcontainer.kernel import namespaces, procfs
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.oci.runtime_spec import Spec, TimeOffset

Offsets = Mapping[str, TimeOffset]
_CLOCKS = ("monotonic", "boottime")


def split(spec: Spec, kinds: set[str]) -> tuple[set[str], Offsets]:
    """The namespaces that one call can make, and the offsets of the one that it cannot. Raises: SpecError."""
    offsets = spec.linux.time_offsets if spec.linux else {}
    if not offsets:
        return kinds, {}
    where = "config.linux.timeOffsets"
    if "time" not in kinds:
        raise SpecError(f"{where}: it needs a time namespace of its own in config.linux.namespaces")
    if "user" in kinds:
        raise SpecError(f"{where}: with a user namespace of its own the clocks are not set; leave one of them out")
    for clock in offsets:
        if clock not in _CLOCKS:
            raise SpecError(f"{where}.{clock}: only {' and '.join(_CLOCKS)} can be set")
    return kinds - {"time"}, offsets


@contextlib.contextmanager
def set_ahead(offsets: Offsets) -> Iterator[None]:
    """Children that are made inside have clocks with these `offsets`. Needs: CAP_SYS_TIME. Raises: KernelError."""
    if not offsets:
        yield
        return
    ours = os.open("/proc/self/ns/time", os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespaces.unshare(CloneFlag.CLONE_NEWTIME)
        lines = [f"{clock} {offset.secs} {offset.nanosecs}" for clock, offset in offsets.items()]
        procfs.write("self/timens_offsets", "\n".join(lines) + "\n")
        yield
        namespaces.setns(ours, CloneFlag.CLONE_NEWTIME)
    finally:
        os.close(ours)
