"""How a call is written: as one would in C, with flags by their names and structures by their fields.

>>> signature("umount2", shown({"target": "/mnt", "flags": UmountFlag.MNT_DETACH}))
'umount2(target="/mnt", flags=MNT_DETACH)'
"""

from __future__ import annotations

import enum
import json
import os
from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

# A page of Linux, the most that mount(2) takes: an overlay's option string is shown whole.
_MOST_CHARACTERS = 4096


class Fields(dict[str, object]):
    """What a structure says, under the names of C."""


@runtime_checkable
class Structure(Protocol):
    """Bytes in memory whose meaning is known; without `fields` only their number is shown."""

    @property
    def fields(self) -> Fields: ...

    def __len__(self) -> int: ...


class Mode(int):
    """A file's permission bits, which everybody writes in octal."""


class Device(int):
    """A device's number, shown as its major and minor."""


class FileType(enum.IntEnum):
    """The kind of file in a mode (``linux/stat.h``), for the calls that make one.

    See: man 7 inode
    """

    S_IFIFO = 0o010000
    S_IFCHR = 0o020000
    S_IFBLK = 0o060000
    S_IFREG = 0o100000


def show(value: object) -> str:
    """One argument: NULL, flags by name, text in quotes, a structure as ``{attr_set=MOUNT_ATTR_RDONLY}``.

    See: man 1 strace, which writes the same
    """
    match value:
        case None:
            return "NULL"
        case enum.IntFlag():
            return flag_names(value)
        case enum.IntEnum():
            return value.name
        case Mode():
            return _mode(value)
        case Device():
            return f"makedev({os.major(value)}, {os.minor(value)})"
        case int():
            return str(int(value))
        case str() | bytes() | os.PathLike():
            return _text(value)
        case Fields():
            return f"{{{', '.join(f'{name}={show(field)}' for name, field in value.items())}}}"
        case Structure():
            return show(value.fields) if value.fields else f"<{len(value)} bytes>"
        case set() | frozenset():
            return "|".join(show(member) for member in sorted(value)) or "0"
        case Mapping():
            return show([f"{name}={text}" for name, text in value.items()])
        case Iterable():
            return f"[{', '.join(show(member) for member in value)}]"
    return _text(str(value))


def flag_names(flags: enum.IntFlag) -> str:
    """``MS_BIND|MS_REC``: the C names of the set bits, what has no name in hexadecimal.

    See: man 1 strace
    """
    names, rest = [], int(flags)
    for member in type(flags):
        if member and member & rest == member:
            names.append(member.name or hex(member))
            rest &= ~int(member)  # the complement of a flag has only known bits
    if rest:
        names.append(hex(rest))
    return "|".join(names) or "0"


def shown(arguments: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Names and values of a call's arguments as text.

    See: man 1 strace
    """
    return tuple((name, show(value)) for name, value in arguments.items())


def signature(call: str, arguments: Iterable[tuple[str, str]]) -> str:
    """The call as text, from arguments that `shown` has made: ``umount2(target="/mnt", flags=MNT_DETACH)``.

    See: man 1 strace
    """
    return f"{call}({', '.join(f'{name}={text}' for name, text in arguments)})"


def _mode(value: int) -> str:
    kind = [each.name for each in FileType if value & 0o170000 == each]
    return "|".join([*kind, f"0{value & 0o7777:o}"])


def _text(value: str | bytes | os.PathLike[str]) -> str:
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else os.fspath(value)
    cut = text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "…"
    return json.dumps(cut, ensure_ascii=False)
