"""Limits of single disks: ``/dev/sda:1mb`` on the command line, ``{"Path": "/dev/sda", "Rate": 1 << 20}`` in Python."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from labcontainer.errors import UsageError
from labcontainer.oci.resources import ThrottleDevice, WeightDevice

Given = Iterable[str | Mapping[str, str | int]] | None


@dataclass(frozen=True, slots=True)
class Rate:
    """Bytes, or requests, of the disk `path` in a second."""

    path: str
    rate: int

    def device(self) -> ThrottleDevice:
        """The same by the disk's number. See: runtime-spec v1.2.0 config-linux.md#block-io"""
        return ThrottleDevice(*_numbers(self.path), self.rate)


@dataclass(frozen=True, slots=True)
class Weight:
    """A share of the time of the disk `path`."""

    path: str
    weight: int

    def device(self) -> WeightDevice:
        """The same by the disk's number. See: runtime-spec v1.2.0 config-linux.md#block-io"""
        return WeightDevice(*_numbers(self.path), self.weight)


def rates(name: str, given: Given, read: Callable[[str, int | str], int] | None) -> tuple[Rate, ...]:
    """The rates of the flag `name`, whose values `read` reads (None: whole numbers). Raises: UsageError."""
    found = {}  # of two for one disk the last counts
    for path, text in _pairs(name, given, "Rate"):
        rate = read(name, text) if read else _whole(name, text)
        if rate < 1:
            raise UsageError(name, f"{path}:{text}", "a rate of 0 would stop the disk: give 1 or more")
        found[path] = Rate(path, rate)
    return tuple(found.values())


def weights(name: str, given: Given) -> tuple[Weight, ...]:
    """The weights of the flag `name`. Raises: UsageError."""
    found = {path: Weight(path, _whole(name, text)) for path, text in _pairs(name, given, "Weight")}
    for one in found.values():
        if not 10 <= one.weight <= 1000:
            raise UsageError(name, f"{one.path}:{one.weight}", "a weight can be 10 to 1000")
    return tuple(found.values())


def _pairs(name: str, given: Given, key: str) -> list[tuple[str, int | str]]:
    pairs: list[tuple[str, int | str]] = []
    for one in given or ():
        if isinstance(one, str):
            path, separator, value = one.rpartition(":")
            if not separator:
                raise UsageError(name, one, f"write DEVICE:{key.upper()}, as in /dev/sda:100")
            pairs.append((path, value))
        elif {"Path", key} <= set(one):
            pairs.append((str(one["Path"]), one[key]))
        else:
            raise UsageError(name, dict(one), f'it must have "Path" and "{key}"')
    for path, _ in pairs:
        _check_disk(name, path)
    return pairs


def _check_disk(name: str, path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise UsageError(name, path, f"{error.strerror}; lsblk -dp lists this machine's disks") from None
    if not stat.S_ISBLK(mode):
        raise UsageError(name, path, "it is no disk; lsblk -dp lists this machine's")
    major, minor = _numbers(path)
    if os.path.exists(f"/sys/dev/block/{major}:{minor}/partition"):
        whole = os.path.basename(os.path.dirname(os.path.realpath(f"/sys/dev/block/{major}:{minor}")))
        raise UsageError(name, path, f"a partition has no limit of its own: name the whole disk, /dev/{whole}")


def _whole(name: str, text: int | str) -> int:
    if not str(text).isdigit():
        raise UsageError(name, text, "it must be a whole number")
    return int(text)


def _numbers(path: str) -> tuple[int, int]:
    number = os.stat(path).st_rdev
    return os.major(number), os.minor(number)
