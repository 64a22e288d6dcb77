"""Namespaces of another container: found anew with every start, for a container has another init each time.

config.json names them by path (``/proc/PID/ns/ipc``), which any runtime understands; who starts the container puts the
pid of the other's init there first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from labcontainer.errors import InitError, NotFound
from labcontainer.oci.bundle import Bundle
from labcontainer.oci.runtime_spec import Mount, Namespace, Spec
from labcontainer.runtime import state

_FILES = {"network": "net"}
_ROOT = re.compile(r"/proc/\d+/root(/.*)")


def look_up(directory: Path, joins: Mapping[str, str]) -> Spec:
    """The bundle's config, in which each namespace of `joins` (kind → container's id) is that container's now.

    Raises: InitError where one of them does not run; SpecError, OSError.
    """
    spec = Bundle(directory).read()
    if not joins or spec.linux is None:
        return spec
    pids = {kind: _pid(directory.parent / id, kind) for kind, id in joins.items()}
    namespaces = tuple(_joined(each, pids) for each in spec.linux.namespaces)
    mounts = tuple(_seen(each, pids.get("ipc")) for each in spec.mounts)
    found = replace(spec, mounts=mounts, linux=replace(spec.linux, namespaces=namespaces))
    Bundle(directory).write(found)
    return found


def _pid(other: Path, kind: str) -> int:
    try:
        init = state.load(other).init
    except NotFound:
        init = None
    if init is None or not init.alive():
        raise InitError("create", f"container {other.name[:12]}, whose {kind} namespace is to be shared, does not run")
    return init.pid


def _joined(namespace: Namespace, pids: Mapping[str, int]) -> Namespace:
    if namespace.type not in pids:
        return namespace
    return Namespace(namespace.type, f"/proc/{pids[namespace.type]}/ns/{_FILES.get(namespace.type, namespace.type)}")


def _seen(mount: Mount, pid: int | None) -> Mount:
    match = _ROOT.fullmatch(mount.source or "")
    return mount if pid is None or match is None else replace(mount, source=f"/proc/{pid}/root{match[1]}")
