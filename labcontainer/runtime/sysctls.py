"""Settings of the Linux kernel that a namespace has for itself: the only ones that a container may change.

    net.*                                        a network namespace of its own
    kernel.shm*, kernel.msg*, kernel.sem,        an IPC namespace of its own
    fs.mqueue.*
    kernel.domainname                            a UTS namespace of its own; the host name is config.hostname

Everything else in /proc/sys is one for the whole machine, and root in a container could change it for all.

See: runtime-spec v1.2.0 config-linux.md#sysctl, man 7 namespaces
"""

from __future__ import annotations

from collections.abc import Collection

from labcontainer.errors import SpecError
from labcontainer.oci.runtime_spec import Spec

_IPC = frozenset(
    f"kernel.{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)


def name(text: str) -> str:
    """A setting with dots between its parts; ``net/ipv4/conf/eth0.1/mtu`` has them inside of one."""
    first = next((character for character in text if character in "./"), ".")
    return text.translate({ord("."): "/", ord("/"): "."}) if first == "/" else text


def path(text: str) -> str:
    """The file of a setting, below /proc. Raises: SpecError where it would lead out of /proc/sys."""
    parts = name(text).split(".")
    files = [part.replace("/", ".") for part in parts]
    if any(part in ("", ".", "..") for part in files):
        raise SpecError(f"sysctl {text!r} names no setting")
    return "sys/" + "/".join(files)


def refusal(text: str, own: Collection[str]) -> str:
    """Why a container whose `own` namespaces are these must not change a setting; empty where it may."""
    wanted = name(text)
    if wanted.startswith("net."):
        return "" if "network" in own else "it belongs to the network namespace, and this container has none of its own"
    if wanted in _IPC or wanted.startswith("fs.mqueue."):
        return "" if "ipc" in own else "it belongs to the IPC namespace, and this container has none of its own"
    if wanted == "kernel.domainname":
        return "" if "uts" in own else "it belongs to the UTS namespace, and this container has none of its own"
    if wanted == "kernel.hostname":
        return "the host name is set with --hostname, in config.json with hostname"
    return (
        "it would change the whole machine; a container may set net.*, kernel.shm*, kernel.msg*, kernel.sem and "
        "fs.mqueue.*"
    )


def refuse(spec: Spec) -> None:
    """Raises: SpecError that names a setting of `spec` which is not the container's own.

    See: runtime-spec v1.2.0 config-linux.md#sysctl
    """
    if spec.linux is None:
        return
    own = {namespace.type for namespace in spec.linux.namespaces if not namespace.path}
    for text in spec.linux.sysctl:
        path(text)
        reason = refusal(text, own)
        if reason:
            raise SpecError(f"config.linux.sysctl.{text}: {reason}")
