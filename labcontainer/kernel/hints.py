"""What an errno means for a call, in the user's terms.

The man pages list several meanings for each errno; here stands the one that a person who starts containers meets, with
the command that mends it.
"""

from __future__ import annotations

import errno
import os

_USERNS_REFUSED = (
    "unprivileged user namespaces are switched off here; "
    "try: sudo sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0"
)
_NAMESPACE_LIMIT = "too many namespaces; raise the limits with: sudo sysctl -w user.max_user_namespaces=15000 (and its sisters in /proc/sys/user)"
_PROCESS_LIMIT = "no more processes are allowed here (pids cgroup or RLIMIT_NPROC: see ulimit -u)"
_LACKING = "this process lacks one of the capabilities itself; if this is a container, start it with --privileged"
_CAP_SYS_ADMIN = 21
_SYS_ADMIN = "this needs CAP_SYS_ADMIN: run as root, or inside a user namespace of your own"

_HINTS = {
    ("clone3", errno.EPERM): _USERNS_REFUSED,
    ("clone3", errno.ENOSPC): _NAMESPACE_LIMIT,
    ("fork", errno.EAGAIN): _PROCESS_LIMIT,
    ("clone3", errno.EAGAIN): _PROCESS_LIMIT,
    ("clone3", errno.ENOSYS): "this Linux kernel is older than 5.3, or a seccomp filter around us hides clone3",
    ("unshare", errno.EPERM): _USERNS_REFUSED,
    ("unshare", errno.ENOSPC): _NAMESPACE_LIMIT,
    (
        "unshare",
        errno.EINVAL,
    ): "a process with more than one thread cannot do this (a notebook's kernel has several): do it in a child",
    (
        "setns",
        errno.EINVAL,
    ): "a process with more than one thread cannot join a user or time namespace: do it in a child",
    ("setns", errno.EPERM): "joining needs CAP_SYS_ADMIN in the user namespace that owns the target",
    ("mount", errno.EPERM): _SYS_ADMIN,
    (
        "mount",
        errno.EBUSY,
    ): "the file system is in use already; an overlay's upperdir and workdir serve one mount at a time",
    (
        "mount",
        errno.ENODEV,
    ): "this Linux kernel does not know that file system (see /proc/filesystems; try: sudo modprobe)",
    ("mount", errno.ENOSPC): "this mount namespace has too many mounts; try: sudo sysctl -w fs.mount-max=200000",
    ("mount", errno.ELOOP): "overlays are stacked too deep (the Linux kernel allows two)",
    ("umount2", errno.EBUSY): "a process still has a file open or its working directory there",
    ("umount2", errno.EINVAL): "nothing is mounted there, or the mount is locked by a parent namespace",
    ("pivot_root", errno.EINVAL): "new_root must be a mount point, and neither it nor its parent mount may be shared",
    ("sethostname", errno.EPERM): "changing the host name needs CAP_SYS_ADMIN in the owner of the UTS namespace",
    ("seccomp", errno.EACCES): "set no_new_privs first, or hold CAP_SYS_ADMIN",
    ("inotify_init1", errno.EMFILE): "too many watchers; try: sudo sysctl -w fs.inotify.max_user_instances=1024",
    (
        "inotify_add_watch",
        errno.ENOSPC,
    ): "too many watched files; try: sudo sysctl -w fs.inotify.max_user_watches=65536",
    (
        "mknod",
        errno.EPERM,
    ): "this needs CAP_MKNOD, which nobody has inside a user namespace; run as the machine's root, or as the ordinary user",
    ("prctl", errno.EPERM): _LACKING,
    ("capset", errno.EPERM): _LACKING,
    (
        "keyctl",
        errno.EDQUOT,
    ): "this user has too many keys, of which each container holds one; try: sudo sysctl -w kernel.keys.maxkeys=2000 kernel.keys.maxbytes=200000",
    ("mkdir", errno.ENOSPC): "no space is left on the device, or a cgroup may have no more children",
    ("write", errno.ENOSPC): "no space is left on the device",
}


def hint(call: str, number: int) -> str:
    """One sentence about errno `number` from `call`, or an empty string.

    See: man 3 errno
    """
    known = _HINTS.get((call, number), "")
    # Of seccomp the known hint names the better remedy: no_new_privs, which needs no privilege at all.
    if call != "seccomp" and number in (errno.EPERM, errno.EACCES) and os.geteuid() == 0 and not _is_whole_root():
        return "root without CAP_SYS_ADMIN here; if this is a container, start it with --privileged"
    return known


def _is_whole_root() -> bool:
    with open("/proc/self/status") as status:
        effective = next((int(line.split()[1], 16) for line in status if line.startswith("CapEff:")), 0)
    return bool(effective & 1 << _CAP_SYS_ADMIN)
