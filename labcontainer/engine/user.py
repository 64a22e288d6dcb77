"""Who a container runs as: ``--user`` resolved against the image's own /etc/passwd and /etc/group.

The files are read out of the layers, topmost first, without following a link: a hostile image must not make the engine
read the host's.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from labcontainer.errors import UsageError
from labcontainer.oci.runtime_spec import User

_LARGEST_BYTES = 1 << 20


def resolve(text: str, lowerdirs: Sequence[Path], more_groups: Sequence[str] = ()) -> User:
    """``""``, ``name``, ``uid``, ``name:group`` or ``uid:gid`` as numbers, with the user's supplementary groups
    and `more_groups`.

    Raises: UsageError where the image knows no such name.
    See: image-spec v1.1.0 config.md#properties (User)
    """
    name, _, group = text.partition(":")
    passwd = [line.split(":") for line in _lines("etc/passwd", lowerdirs)]
    groups = [line.split(":") for line in _lines("etc/group", lowerdirs)]
    row = next((row for row in passwd if len(row) > 3 and name in (row[0], row[2])), None)
    if row is not None:
        uid, gid, login = int(row[2]), int(row[3]), row[0]
    elif name.isdigit() or not name:
        uid, gid, login = int(name or 0), 0, ""
    else:
        raise UsageError("user", text, f"the image's /etc/passwd has no user {name!r}")
    more = [int(row[2]) for row in groups if len(row) > 3 and login and login in row[3].split(",")]
    more += [_gid(name, groups, name, "group-add") for name in more_groups]
    return User(uid=uid, gid=_gid(group, groups, text) if group else gid, additional_gids=tuple(dict.fromkeys(more)))


def _gid(group: str, groups: list[list[str]], text: str, flag: str = "user") -> int:
    row = next((row for row in groups if len(row) > 2 and group in (row[0], row[2])), None)
    if row is not None:
        return int(row[2])
    if group.isdigit():
        return int(group)
    raise UsageError(flag, text, f"the image's /etc/group has no group {group!r}")


def _lines(path: str, lowerdirs: Sequence[Path]) -> list[str]:
    for layer in lowerdirs:
        directory = layer / os.path.dirname(path)
        if directory.is_symlink():
            continue
        try:
            fd = os.open(layer / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue
        with open(fd, "rb") as file:
            if stat.S_ISREG(os.fstat(fd).st_mode):
                return file.read(_LARGEST_BYTES).decode(errors="replace").splitlines()
    return []
