"""The eight namespaces: what a process may see.

    >>> from labcontainer.kernel import namespaces
    >>> namespaces.inode("self", "pid")
    4026531836

Two processes are in the same namespace when the links in their ``/proc/PID/ns`` have the same inode number. Lesson 02
teaches each of them.
"""

from __future__ import annotations

import enum
import os

from labcontainer.kernel.libc import invoke


class CloneFlag(enum.IntFlag):
    """Which namespaces a call makes anew, and what else clone3 does for us (``linux/sched.h``)."""

    CLONE_NEWTIME = 0x00000080
    CLONE_VM = 0x00000100
    CLONE_PIDFD = 0x00001000
    CLONE_NEWNS = 0x00020000
    CLONE_NEWCGROUP = 0x02000000
    CLONE_NEWUTS = 0x04000000
    CLONE_NEWIPC = 0x08000000
    CLONE_NEWUSER = 0x10000000
    CLONE_NEWPID = 0x20000000
    CLONE_NEWNET = 0x40000000
    CLONE_INTO_CGROUP = 0x200000000


# The names under /proc/PID/ns, in the order in which the man page namespaces(7) lists them.
NAMESPACES: dict[str, CloneFlag] = {
    "cgroup": CloneFlag.CLONE_NEWCGROUP,
    "ipc": CloneFlag.CLONE_NEWIPC,
    "net": CloneFlag.CLONE_NEWNET,
    "mnt": CloneFlag.CLONE_NEWNS,
    "pid": CloneFlag.CLONE_NEWPID,
    "time": CloneFlag.CLONE_NEWTIME,
    "user": CloneFlag.CLONE_NEWUSER,
    "uts": CloneFlag.CLONE_NEWUTS,
}


def unshare(flags: CloneFlag) -> None:
    """Leave the namespaces in `flags` for new ones of this process's own.

    Needs: CAP_SYS_ADMIN, except for CLONE_NEWUSER, which needs a process with one thread.
    Raises: KernelError (EINVAL with several threads). See: man 2 unshare
    """
    invoke("unshare", flags=flags)


def setns(fd: int, nstype: CloneFlag = CloneFlag(0)) -> None:
    """Join the namespace that `fd` (an open ``/proc/PID/ns/…``, or a pidfd with several `nstype`) refers to.

    Needs: CAP_SYS_ADMIN in the namespace's owner. A PID or time namespace is joined by the next child only.
    Raises: KernelError. See: man 2 setns
    """
    invoke("setns", fd=fd, nstype=nstype)


def sethostname(name: str) -> None:
    """Set the host name of this process's UTS namespace.

    Needs: CAP_SYS_ADMIN in its owner. Raises: KernelError. See: man 2 sethostname
    """
    data = os.fsencode(name)
    invoke("sethostname", name=data, len=len(data))


def setdomainname(name: str) -> None:
    """Set the NIS domain name of this process's UTS namespace.

    Needs: CAP_SYS_ADMIN in its owner. Raises: KernelError. See: man 2 setdomainname
    """
    data = os.fsencode(name)
    invoke("setdomainname", name=data, len=len(data))


def inode(pid: int | str, name: str) -> int:
    """The number of the namespace `name` (``pid``, ``mnt``, …) that process `pid` is in.

    Raises: OSError where the process is gone or hidden. See: man 7 namespaces
    """
    return os.stat(f"/proc/{pid}/ns/{name}").st_ino


def inodes(pid: int | str = "self") -> dict[str, int]:
    """The numbers of all namespaces of `pid`, by name, as far as this Linux kernel has them.

    See: man 7 namespaces
    """
    return {name: inode(pid, name) for name in NAMESPACES if os.path.exists(f"/proc/{pid}/ns/{name}")}
