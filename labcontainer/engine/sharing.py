"""Which namespaces a container has to itself, which it shares with the host, and which with another container.

    network   none (of its own), host, container:ID
    pid       its own, host, container:ID
    ipc       private, none (without /dev/shm), shareable (others may join), host, container:ID
    uts       its own, host
    userns    an ordinary user's container has its own; root's shares the host's
    cgroupns  private, host

A namespace of another container is joined by the path of its init's, ``/proc/PID/ns/…``: with every start that is
another, so the monitor looks it up (`runtime.shared`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labcontainer.errors import UsageError
from labcontainer.oci.runtime_spec import Namespace

_CONTAINER = "container:"
# docker-py's keyword → the flag, the modes that are a word, and whether a container can be named.
_MODES = {
    "network_mode": ("network", ("", "none", "host"), True),
    "pid_mode": ("pid", ("", "private", "host"), True),
    "ipc_mode": ("ipc", ("", "none", "private", "shareable", "host"), True),
    "uts_mode": ("uts", ("", "private", "host"), False),
    "userns_mode": ("userns", ("", "host"), False),
    "cgroupns": ("cgroupns", ("", "private", "host"), False),
}
KINDS = {"network_mode": "network", "pid_mode": "pid", "ipc_mode": "ipc"}


@dataclass(frozen=True, slots=True)
class Sharing:
    """The modes under docker-py's names; a container that is named is so by its full id."""

    network_mode: str = "none"
    pid_mode: str = ""
    ipc_mode: str = "private"
    uts_mode: str = ""
    userns_mode: str = ""
    cgroupns: str = "private"

    @property
    def host_network(self) -> bool:
        """Whether it sees the host's interfaces."""
        return self.network_mode == "host"

    def donors(self) -> dict[str, str]:
        """Namespace → the id of the container whose it is."""
        modes = {kind: str(getattr(self, keyword)) for keyword, kind in KINDS.items()}
        return {kind: mode[len(_CONTAINER) :] for kind, mode in modes.items() if mode.startswith(_CONTAINER)}

    def own(self) -> frozenset[str]:
        """The namespaces that are made for this container alone."""
        kinds = {"mount"}
        kinds |= {"network"} if self.network_mode == "none" else set()
        kinds |= {"pid"} if self.pid_mode in ("", "private") else set()
        kinds |= {"ipc"} if self.ipc_mode in ("private", "none", "shareable") else set()
        kinds |= {"uts"} if self.uts_mode != "host" else set()
        kinds |= {"cgroup"} if self.cgroupns == "private" else set()
        kinds |= {"user"} if os.geteuid() != 0 else set()
        return frozenset(kinds)

    def namespaces(self) -> tuple[Namespace, ...]:
        """The same in config.json's words; the path of one that is joined is a place to be filled in."""
        own = [kind for kind in ("pid", "mount", "ipc", "uts", "cgroup", "network", "user") if kind in self.own()]
        return (*map(Namespace, own), *(Namespace(kind, "/proc/0/ns/" + kind) for kind in self.donors()))


def take(settings: dict[str, Any], resolve: Callable[[str], str]) -> Sharing:
    """docker-py's modes out of `settings`; `resolve` gives the id of a container that is named.

    Raises: UsageError, NotFound (no such container).
    """
    network = settings.pop("network", None)
    if network is not None:
        settings.setdefault("network_mode", network)
    given = {keyword: str(settings.pop(keyword, None) or "") for keyword in _MODES}
    for keyword, mode in given.items():
        _check(keyword, mode)
        if mode.startswith(_CONTAINER):
            given[keyword] = _CONTAINER + resolve(mode[len(_CONTAINER) :])
    if os.geteuid() != 0:
        _refuse_without_root(given)
    chosen = {**given, "ipc_mode": given["ipc_mode"] or "private", "cgroupns": given["cgroupns"] or "private"}
    return Sharing(**{**chosen, "network_mode": given["network_mode"] or "none"})


def check_shareable(mode: str | None) -> None:
    """Whether a container with this ipc_mode lets others in. Raises: UsageError."""
    if mode not in ("shareable", "host"):
        raise UsageError("ipc", "container", "the other container's IPC is private; make it with --ipc shareable")


def _check(keyword: str, mode: str) -> None:
    flag, words, containers = _MODES[keyword]
    if mode in words or (containers and mode.startswith(_CONTAINER) and len(mode) > len(_CONTAINER)):
        return
    if keyword == "network_mode":
        known = "choose none (a network namespace with a loopback), host or container:ID: networks come later"
    else:
        known = f"choose {' or '.join([word for word in words if word] + ['container:ID'] * containers)}"
    raise UsageError(flag, mode, known)


def _refuse_without_root(given: dict[str, str]) -> None:
    if given["userns_mode"] == "host":
        reason = "an ordinary user's container has its root from a user namespace of its own; run it as root"
        raise UsageError("userns", "host", reason)
    for keyword, mode in given.items():
        if mode.startswith(_CONTAINER):
            reason = "each container of an ordinary user has a user namespace of its own, which the other's belongs to"
            raise UsageError(_MODES[keyword][0], mode, f"{reason}; run both as root")
