"""Trials: networks of one's own."""

from __future__ import annotations

import errno
import functools
import socket
import struct

from labcontainer.errors import KernelError
from labcontainer.kernel import netlink
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.kernel.probe import remedy, stand
from labcontainer.kernel.probe.place import Place
from labcontainer.kernel.probe.trial import Trial

# linux/netlink.h, linux/if_link.h
_NLM_F_EXCL, _NLM_F_CREATE = 0x200, 0x400
_IFLA_LINKINFO, _IFLA_INFO_KIND = 18, 1


def trials(place: Place) -> tuple[Trial, ...]:
    """Interfaces, in a network namespace that ends with its trial.

    See: man 7 network_namespaces, man 7 rtnetlink
    """
    return (
        Trial("loopback", "127.0.0.1 in a network namespace", ("02", "11"), _loopback),
        _link("bridge", "bridge: a switch between containers"),
        _link("veth", "veth: a cable between namespaces"),
    )


def _loopback(place: Place) -> str:
    stand.in_namespaces(place, CloneFlag.CLONE_NEWNET)
    netlink.set_loopback_up()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.settimeout(2)
        client.connect(server.getsockname())
        return "lo was switched on, and a connection to 127.0.0.1 made"


def _link(kind: str, title: str) -> Trial:
    return Trial(
        kind, title, ("11", "14"), functools.partial(_make_link, kind), mend=functools.partial(_mend_link, kind)
    )


def _make_link(kind: str, place: Place) -> str:
    stand.in_namespaces(place, CloneFlag.CLONE_NEWNET)
    _new_link(kind)
    return f"a new network namespace has {', '.join(name for _, name in socket.if_nameindex())}"


def _new_link(kind: str) -> None:
    info = _attribute(_IFLA_LINKINFO, _attribute(_IFLA_INFO_KIND, kind.encode()))
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0) + info
    flags = netlink.NLM_F_REQUEST | netlink.NLM_F_ACK | _NLM_F_CREATE | _NLM_F_EXCL
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as connection:
        connection.send(struct.pack("=IHHII", 16 + len(body), netlink.RTM_NEWLINK, flags, 1, 0) + body)
        (code,) = struct.unpack_from("=i", connection.recv(65536), 16)
    if code:
        raise KernelError(-code, f"netlink(RTM_NEWLINK, kind={kind})")


def _attribute(type: int, payload: bytes) -> bytes:
    # struct rtattr: length without padding, type; then padding to a multiple of four.
    return struct.pack("=HH", 4 + len(payload), type) + payload + bytes(-len(payload) % 4)


def _mend_link(kind: str, error: OSError, place: Place) -> str:
    if error.errno in (errno.EOPNOTSUPP, errno.ENODEV):
        return remedy.module(kind)
    return remedy.general(error, place)
