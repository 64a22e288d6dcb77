"""Keyrings: the Linux kernel keeps keys and passwords for a session, and whatever the session starts can use them.

    >>> from labcontainer.kernel import keyring
    >>> keyring.join_session_keyring()
    731058902

A session's keyring is inherited by every child, through namespaces and execve alike: a container would hold what its
user has unlocked (the keys of encrypted directories, Kerberos tickets, network mounts). It gets an empty one instead.

What is left out: making and reading keys.
"""

from __future__ import annotations

import enum

from labcontainer.kernel.libc import invoke


class Keyctl(enum.IntEnum):
    """Operations of keyctl(2) (``linux/keyctl.h``)."""

    KEYCTL_JOIN_SESSION_KEYRING = 1


def join_session_keyring() -> int:
    """Leave this process's session keyring for a new, empty one without a name, and return its serial number.

    Without a name nobody can join it: one with a name is open to every process that the Linux kernel lets search it.

    Raises: KernelError (EDQUOT: this user has too many keys; ENOSYS: a Linux kernel without keys; EPERM: a seccomp
    filter around us forbids it). See: man 2 keyctl, man 7 session-keyring
    """
    return invoke("keyctl", operation=Keyctl.KEYCTL_JOIN_SESSION_KEYRING, name=None)
