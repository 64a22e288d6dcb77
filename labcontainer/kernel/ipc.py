"""Message queues of System V: what an IPC namespace keeps apart, and the easiest of it to look at.

    >>> from labcontainer.kernel import ipc
    >>> ipc.msgget(427, ipc.IpcFlag.IPC_CREAT | ipc.IpcFlag.S_IRUSR)
    0
    >>> ipc.message_queues()
    (427,)

A queue is known by a number, its key, which programs agree upon: in another IPC namespace the same number is another
queue, or none. Lesson 02 makes one.
"""

from __future__ import annotations

import enum

from labcontainer.errors import KernelError
from labcontainer.kernel import file
from labcontainer.kernel.libc import invoke


class IpcFlag(enum.IntFlag):
    """What msgget is to do, and who may use what it makes (``linux/ipc.h``, ``linux/stat.h``)."""

    S_IWUSR = 0o200
    S_IRUSR = 0o400
    IPC_CREAT = 0o1000
    IPC_EXCL = 0o2000


def msgget(key: int, msgflg: IpcFlag = IpcFlag(0)) -> int:
    """Open the message queue `key` of this process's IPC namespace, or make it, and return its identifier.

    Raises: KernelError (ENOENT: there is none, and IPC_CREAT is not asked for). See: man 2 msgget
    """
    return invoke("msgget", key=key, msgflg=msgflg)


def message_queues() -> tuple[int, ...]:
    """The keys of all queues in this process's IPC namespace; none where this Linux kernel has no System V IPC.

    See: man 5 proc (/proc/sysvipc/msg), man 7 sysvipc
    """
    try:
        _, *lines = file.read("/proc/sysvipc/msg").splitlines()
    except KernelError:
        return ()
    #        key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime
    return tuple(int(line.split()[0]) for line in lines)
