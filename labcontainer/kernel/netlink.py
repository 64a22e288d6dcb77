"""Network interfaces, by rtnetlink messages: so far, switching the loopback on.

A new network namespace has one interface, ``lo``, and it is down: not even 127.0.0.1 answers. The message is
written by hand here, because every container's init sends it and a library would cost more than the container.
"""

from __future__ import annotations

import os
import socket
import struct

from labcontainer.errors import KernelError
from labcontainer.kernel import trace

# linux/netlink.h, linux/rtnetlink.h, linux/if.h
NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLMSG_ERROR = 0x2
RTM_NEWLINK = 16
IFF_UP = 0x1
LOOPBACK_INDEX = 1

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ERROR = struct.Struct("=i")  # nlmsgerr begins with -errno


def set_loopback_up() -> None:
    """Switch ``lo`` of this process's network namespace on; the Linux kernel gives it 127.0.0.1 and ::1 itself.

    Needs: CAP_NET_ADMIN in the namespace's owner. Raises: KernelError. See: man 7 rtnetlink (RTM_NEWLINK)
    """
    body = _LINK.pack(socket.AF_UNSPEC, 0, LOOPBACK_INDEX, IFF_UP, IFF_UP)
    header = _HEADER.pack(_HEADER.size + len(body), RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0)
    arguments = {"type": "RTM_NEWLINK", "index": LOOPBACK_INDEX, "flags": "IFF_UP"}
    started_ns = trace.clock()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as connection:
        connection.send(header + body)
        answer = connection.recv(65536)
    errno = -_ERROR.unpack_from(answer, _HEADER.size)[0]
    trace.emit("netlink", arguments, -1 if errno else 0, errno, started_ns, depth=1)
    if errno:
        raise KernelError(errno, f"netlink(RTM_NEWLINK, index={LOOPBACK_INDEX}, flags=IFF_UP)", os.strerror(errno))
