"""A mount's options in config.json, sorted out: flags, attributes, propagation, and what is the file system's own.

    ("rbind", "ro", "rnosuid", "rslave", "size=1m")
        flags        MS_BIND|MS_REC|MS_RDONLY
        set          MOUNT_ATTR_RDONLY            this mount alone
        set_below    MOUNT_ATTR_NOSUID            and all that are mounted below it
        propagation  MS_SLAVE|MS_REC
        data         size=1m

See: runtime-spec v1.2.0 config.md#linux-mount-options, man 8 mount
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labcontainer.kernel.mount import MountAttr, MountFlag

# Each option with the flag of mount(2) that it sets, or clears.
_SET = {
    "ro": MountFlag.MS_RDONLY, "nosuid": MountFlag.MS_NOSUID, "nodev": MountFlag.MS_NODEV,
    "noexec": MountFlag.MS_NOEXEC, "sync": MountFlag.MS_SYNCHRONOUS, "dirsync": MountFlag.MS_DIRSYNC,
    "mand": MountFlag.MS_MANDLOCK, "noatime": MountFlag.MS_NOATIME, "nodiratime": MountFlag.MS_NODIRATIME,
    "relatime": MountFlag.MS_RELATIME, "strictatime": MountFlag.MS_STRICTATIME, "lazytime": MountFlag.MS_LAZYTIME,
    "bind": MountFlag.MS_BIND, "rbind": MountFlag.MS_BIND | MountFlag.MS_REC, "remount": MountFlag.MS_REMOUNT,
    "nosymfollow": MountFlag.MS_NOSYMFOLLOW, "silent": MountFlag.MS_SILENT, "iversion": MountFlag.MS_I_VERSION,
}  # fmt: skip
_CLEAR = {
    "rw": MountFlag.MS_RDONLY, "suid": MountFlag.MS_NOSUID, "dev": MountFlag.MS_NODEV, "exec": MountFlag.MS_NOEXEC,
    "async": MountFlag.MS_SYNCHRONOUS, "nomand": MountFlag.MS_MANDLOCK, "atime": MountFlag.MS_NOATIME,
    "diratime": MountFlag.MS_NODIRATIME, "norelatime": MountFlag.MS_RELATIME, "nolazytime": MountFlag.MS_LAZYTIME,
    "nostrictatime": MountFlag.MS_STRICTATIME, "symfollow": MountFlag.MS_NOSYMFOLLOW, "loud": MountFlag.MS_SILENT,
    "noiversion": MountFlag.MS_I_VERSION, "defaults": MountFlag(0),
}  # fmt: skip
_PROPAGATION = {
    "private": MountFlag.MS_PRIVATE, "slave": MountFlag.MS_SLAVE, "shared": MountFlag.MS_SHARED,
    "unbindable": MountFlag.MS_UNBINDABLE,
}  # fmt: skip

# What a mount has of its own, whatever the file system: (attributes to set, attributes to clear before).
_ATIME = MountAttr.MOUNT_ATTR__ATIME
_NONE = MountAttr(0)
_ATTRIBUTES = {
    "ro": (MountAttr.MOUNT_ATTR_RDONLY, _NONE), "rw": (_NONE, MountAttr.MOUNT_ATTR_RDONLY),
    "nosuid": (MountAttr.MOUNT_ATTR_NOSUID, _NONE), "suid": (_NONE, MountAttr.MOUNT_ATTR_NOSUID),
    "nodev": (MountAttr.MOUNT_ATTR_NODEV, _NONE), "dev": (_NONE, MountAttr.MOUNT_ATTR_NODEV),
    "noexec": (MountAttr.MOUNT_ATTR_NOEXEC, _NONE), "exec": (_NONE, MountAttr.MOUNT_ATTR_NOEXEC),
    "nodiratime": (MountAttr.MOUNT_ATTR_NODIRATIME, _NONE), "diratime": (_NONE, MountAttr.MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (MountAttr.MOUNT_ATTR_NOSYMFOLLOW, _NONE), "symfollow": (_NONE, MountAttr.MOUNT_ATTR_NOSYMFOLLOW),
    # One field with three values, not bits: it is cleared as a whole. relatime is the value 0.
    "noatime": (MountAttr.MOUNT_ATTR_NOATIME, _ATIME), "atime": (_NONE, _ATIME),
    "strictatime": (MountAttr.MOUNT_ATTR_STRICTATIME, _ATIME), "nostrictatime": (_NONE, _ATIME),
    "relatime": (_NONE, _ATIME), "norelatime": (MountAttr.MOUNT_ATTR_STRICTATIME, _ATIME),
}  # fmt: skip
_OURS = ("tmpcopyup", "idmap", "ridmap")


@dataclass(frozen=True, slots=True)
class Change:
    """Attributes of a mount to clear, and then to set."""

    set: MountAttr = MountAttr(0)
    clear: MountAttr = MountAttr(0)

    def __bool__(self) -> bool:
        return bool(self.set or self.clear)

    def then(self, set: MountAttr, clear: MountAttr) -> Change:
        """This, and after it another: of two options that contradict each other the last counts."""
        return Change((self.set & ~clear) | set, self.clear | clear)

    def only_set(self) -> Change:
        """What it sets, and nothing cleared that the source may have had: ``rw`` must not open what was read-only."""
        return Change(self.set, _ATIME if self.set & _ATIME else MountAttr(0))


@dataclass(frozen=True, slots=True)
class Options:
    """A mount's options, sorted out. `here` is for the mount alone, `below` for all that are mounted in it, too."""

    flags: MountFlag
    propagation: MountFlag
    data: str
    here: Change = Change()
    below: Change = Change()
    copy_up: bool = False
    id_map: str = ""

    @property
    def shared(self) -> bool:
        """Whether mounts are to reach the host from inside."""
        return bool(self.propagation & MountFlag.MS_SHARED)


def names() -> set[str]:
    """The mount options that are not the file system's own. See: runtime-spec v1.2.0 config.md#linux-mount-options"""
    return {*_SET, *_CLEAR, *_PROPAGATION, *(f"r{name}" for name in (*_PROPAGATION, *_ATTRIBUTES)), *_OURS}


def sort(texts: Iterable[str]) -> Options:
    """Sort a mount's options.

    See: runtime-spec v1.2.0 config.md#linux-mount-options
    """
    flags, propagation, data = MountFlag(0), MountFlag(0), []
    here, below, copy_up, id_map = Change(), Change(), False, ""
    for text in texts:
        bare = text.removeprefix("r")
        if text in _SET or text in _CLEAR:
            flags = (flags | _SET.get(text, MountFlag(0))) & ~_CLEAR.get(text, MountFlag(0))
            here = here.then(*_ATTRIBUTES.get(text, (_NONE, _NONE)))
        elif text in _PROPAGATION:
            propagation |= _PROPAGATION[text]
        elif text != bare and bare in _PROPAGATION:
            propagation |= _PROPAGATION[bare] | MountFlag.MS_REC
        elif text != bare and bare in _ATTRIBUTES:
            below = below.then(*_ATTRIBUTES[bare])
        elif text == "tmpcopyup":
            copy_up = True
        elif text in ("idmap", "ridmap"):
            id_map = text
        else:
            data.append(text)
    return Options(flags, propagation, ",".join(data), here.only_set(), below, copy_up, id_map)
