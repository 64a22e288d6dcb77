"""A new file system that is held by a descriptor before it is mounted: what is done to it needs no path.

mount(2) puts one down and tells nobody where. Its options are given again here, in the words of fsconfig(2):

    MS_RDONLY|MS_NOSUID, "size=1m,mode=700"
        fsconfig(ro), fsconfig(size, 1m), fsconfig(mode, 700), fsmount(MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOSUID)
"""

from __future__ import annotations

import os
import re

from labcontainer.kernel import mount
from labcontainer.kernel.mount import FsconfigCommand, MountAttr, MountFlag, Tree

# What is the file system's own. MS_SILENT and MS_I_VERSION have no word: file systems decide about versions themselves.
_WORDS = {
    MountFlag.MS_RDONLY: "ro", MountFlag.MS_SYNCHRONOUS: "sync", MountFlag.MS_DIRSYNC: "dirsync",
    MountFlag.MS_LAZYTIME: "lazytime", MountFlag.MS_MANDLOCK: "mand",
}  # fmt: skip
# What is the mount's. MS_RELATIME is what a mount has anyway.
_ATTRIBUTES = {
    MountFlag.MS_RDONLY: MountAttr.MOUNT_ATTR_RDONLY, MountFlag.MS_NOSUID: MountAttr.MOUNT_ATTR_NOSUID,
    MountFlag.MS_NODEV: MountAttr.MOUNT_ATTR_NODEV, MountFlag.MS_NOEXEC: MountAttr.MOUNT_ATTR_NOEXEC,
    MountFlag.MS_NODIRATIME: MountAttr.MOUNT_ATTR_NODIRATIME,
    MountFlag.MS_NOSYMFOLLOW: MountAttr.MOUNT_ATTR_NOSYMFOLLOW,
}  # fmt: skip


def create(type: str, source: str, flags: MountFlag, data: str) -> Tree:
    """The file system that ``mount(source, …, type, flags, data)`` would mount.

    Needs: Linux 5.2. Raises: KernelError. See: man 2 fsopen, man 2 fsmount
    """
    fd = mount.fsopen(type)
    try:
        mount.fsconfig(fd, FsconfigCommand.FSCONFIG_SET_STRING, "source", source)
        for flag, word in _WORDS.items():
            if flags & flag:
                mount.fsconfig(fd, FsconfigCommand.FSCONFIG_SET_FLAG, word)
        # As tmpfs itself divides them: the list of nodes in mpol=bind:0,2 is one option.
        for option in filter(None, re.split(r",(?!\d)", data)):
            name, equals, value = option.partition("=")
            if equals:
                mount.fsconfig(fd, FsconfigCommand.FSCONFIG_SET_STRING, name, value)
            else:
                mount.fsconfig(fd, FsconfigCommand.FSCONFIG_SET_FLAG, name)
        mount.fsconfig(fd, FsconfigCommand.FSCONFIG_CMD_CREATE)
        return mount.fsmount(fd, attributes(flags))
    finally:
        os.close(fd)


def attributes(flags: MountFlag) -> MountAttr:
    """The attributes that a mount with `flags` has. See: man 2 mount_setattr"""
    found = MountAttr(0)
    for flag, attribute in _ATTRIBUTES.items():
        found |= attribute if flags & flag else MountAttr(0)
    # Three values of one field; of several, mount(2) takes them in this order.
    if flags & MountFlag.MS_STRICTATIME:
        return found | MountAttr.MOUNT_ATTR_STRICTATIME
    return found | (MountAttr.MOUNT_ATTR_NOATIME if flags & MountFlag.MS_NOATIME else MountAttr(0))
