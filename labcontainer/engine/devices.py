"""``--device`` and ``--device-cgroup-rule``: devices of the host for one container.

    /dev/loop0                    the same path inside, rwm
    /dev/loop0:/dev/xvda:r        another path inside; r read, w write, m mknod
    /dev/snd                      every device below the directory

Root makes the nodes anew, and a rule of the cgroup says what may be done with them. An ordinary user can make none: the
host's nodes are bound, and what may be done with them is what their owner and mode allow.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from labcontainer.errors import UsageError
from labcontainer.oci.resources import DeviceRule
from labcontainer.oci.runtime_spec import Device, Mount

_RULE = re.compile(r"([acb]) (\d+|\*):(\d+|\*) ([rwm]{1,3})")
_ACCESS = re.compile(r"[rwm]{1,3}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A device, or a directory of them: its path on the host, its path inside, and what may be done with it."""

    source: str
    destination: str
    access: str = "rwm"


@dataclass(frozen=True, slots=True)
class Devices:
    """All that was asked for, and the rules beyond that."""

    wanted: tuple[Wanted, ...] = ()
    rules: tuple[DeviceRule, ...] = ()

    def nodes(self) -> tuple[Device, ...]:
        """The nodes that init makes. Raises: UsageError (a device is gone)."""
        return tuple(_node(path, inside) for each in self.wanted for path, inside in _nodes(each))

    def binds(self) -> tuple[Mount, ...]:
        """The same for an ordinary user's container. Raises: UsageError."""
        options = ("bind", "rprivate", "nosuid", "noexec")
        return tuple(Mount(inside, "bind", path, options) for each in self.wanted for path, inside in _nodes(each))

    def allowed(self) -> tuple[DeviceRule, ...]:
        """The rules of the cgroup. Raises: UsageError."""
        given = []
        for each in self.wanted:
            for path, _ in _nodes(each):
                status = os.stat(path)
                major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
                given.append(DeviceRule(True, _type(status), major, minor, each.access))
        return (*given, *self.rules)


def devices(given: Iterable[str] | None, rules: Iterable[str] | None) -> Devices:
    """docker-py's ``devices`` and ``device_cgroup_rules``. Raises: UsageError."""
    found = Devices(tuple(wanted(text) for text in given or ()), tuple(_rule(text) for text in rules or ()))
    for each in found.wanted:
        for _ in _nodes(each):
            pass
    if os.geteuid() != 0:
        _refuse_rules(found)
    return found


def _refuse_rules(found: Devices) -> None:
    reason = "only root can rule which devices a cgroup opens; for an ordinary user a device's own owner and mode count"
    for each in found.wanted:
        if set(each.access) != set("rwm"):
            raise UsageError("device", f"{each.source}:{each.destination}:{each.access}", reason)
    if found.rules:
        raise UsageError("device-cgroup-rule", "…", reason)


def wanted(text: str) -> Wanted:
    """``/dev/a:/dev/b:r`` taken apart. Raises: UsageError."""
    source, *rest = text.split(":")
    access = rest.pop() if rest and _ACCESS.fullmatch(rest[-1]) else "rwm"
    destination = rest.pop() if rest else source
    if rest or not source.startswith("/") or not destination.startswith("/"):
        raise UsageError("device", text, "write /on/the/host, /on/the/host:/inside or /on/the/host:/inside:rwm")
    return Wanted(source, os.path.normpath(destination), access)


def _rule(text: str) -> DeviceRule:
    match = _RULE.fullmatch(text)
    if not match:
        raise UsageError("device-cgroup-rule", text, "write TYPE MAJOR:MINOR ACCESS, as in 'c 10:* rwm'")
    major, minor = (None if number == "*" else int(number) for number in match.group(2, 3))
    return DeviceRule(True, match[1], major, minor, match[4])


def _nodes(each: Wanted) -> Iterator[tuple[str, str]]:
    """The (path, path inside) of the device, or of every one below the directory."""
    try:
        status = os.stat(each.source)
    except OSError as error:
        raise UsageError("device", each.source, (error.strerror or str(error)).lower()) from None
    if _is_device(status):
        yield each.source, each.destination
        return
    if not stat.S_ISDIR(status.st_mode):
        raise UsageError("device", each.source, "it is no device, and no directory of devices")
    below = sorted(path for path in Path(each.source).rglob("*") if _is_device(path.lstat()))
    if not below:
        raise UsageError("device", each.source, "there is no device in this directory")
    for path in below:
        yield str(path), str(Path(each.destination, path.relative_to(each.source)))


def _is_device(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)


def _type(status: os.stat_result) -> str:
    return "b" if stat.S_ISBLK(status.st_mode) else "c"


def _node(path: str, inside: str) -> Device:
    status = os.stat(path)
    return Device(
        path=inside,
        type=_type(status),
        major=os.major(status.st_rdev),
        minor=os.minor(status.st_rdev),
        file_mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
    )
