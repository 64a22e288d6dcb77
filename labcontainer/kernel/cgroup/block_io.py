"""Block I/O in either version's texts: what is written as a limit, and what is read of limits and of use.

version 1   blkio.throttle.write_bps_device             254:0 1048576
            blkio.throttle.io_service_bytes_recursive   254:0 Read 4096\\n254:0 Write 8192\\n…\\nTotal 12288
version 2   io.max                                      254:0 rbps=max wbps=1048576 riops=max wiops=max
            io.stat                                     254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from labcontainer.errors import HostError, KernelError, UsageError
from labcontainer.kernel import file
from labcontainer.kernel.cgroup.convert import blkio_of_io_weight, io_weight_of_blkio
from labcontainer.kernel.cgroup.limits import IoLimit, IoWeight
from labcontainer.kernel.cgroup.usage import DeviceIo

# IoLimit's field: version 1's file, and version 2's key.
THROTTLES = {
    "read_bps": ("blkio.throttle.read_bps_device", "rbps"),
    "write_bps": ("blkio.throttle.write_bps_device", "wbps"),
    "read_iops": ("blkio.throttle.read_iops_device", "riops"),
    "write_iops": ("blkio.throttle.write_iops_device", "wiops"),
}
# DeviceIo's field: version 1's file and its word, and version 2's key.
_BYTES, _COUNTS = "blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_serviced_recursive"
_COUNTERS = {
    "read_bytes": (_BYTES, "Read", "rbytes"),
    "write_bytes": (_BYTES, "Write", "wbytes"),
    "reads": (_COUNTS, "Read", "rios"),
    "writes": (_COUNTS, "Write", "wios"),
}
V1_COUNTERS = (_BYTES, _COUNTS)


def v1_writes(limits: Sequence[IoLimit]) -> Iterator[tuple[str, str]]:
    """(file, text) for each limit; 0 takes one away.

    See: https://docs.kernel.org/admin-guide/cgroup-v1/blkio-controller.html
    """
    for limit in limits:
        for field, (name, _) in THROTTLES.items():
            rate = getattr(limit, field)
            if rate is not None:
                yield name, f"{limit.major}:{limit.minor} {max(rate, 0)}"


def v2_lines(limits: Sequence[IoLimit]) -> Iterator[str]:
    """A line of io.max for each device. See: https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files"""
    for limit in limits:
        rates = ((key, getattr(limit, field)) for field, (_, key) in THROTTLES.items())
        told = [f"{key}={'max' if rate == -1 else rate}" for key, rate in rates if rate is not None]
        if told:
            yield f"{limit.major}:{limit.minor} {' '.join(told)}"


def v1_limits(texts: Mapping[str, str]) -> tuple[IoLimit, ...]:
    """The limits in version 1's four files, given by their names.

    See: https://docs.kernel.org/admin-guide/cgroup-v1/blkio-controller.html
    """
    found: dict[tuple[int, int], dict[str, int]] = defaultdict(dict)
    for field, (name, _) in THROTTLES.items():
        for device, words in rows(texts.get(name, "")):
            found[device][field] = int(words[0])
    return _limits(found)


def v2_limits(text: str) -> tuple[IoLimit, ...]:
    """The limits in io.max. See: https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files"""
    fields = {key: field for field, (_, key) in THROTTLES.items()}
    found = {}
    for device, words in rows(text):
        pairs = (word.split("=") for word in words)
        found[device] = {fields[key]: int(rate) for key, rate in pairs if key in fields and rate != "max"}
    return _limits(found)


def weights(text: str, *, version_1_range: bool) -> tuple[IoWeight, ...]:
    """The disks' own weights in ``default 100\\n254:0 500``; io.weight's range is 1 to 10000, that of bfq ours.

    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files
    """
    return tuple(
        IoWeight(*device, int(words[0]) if version_1_range else blkio_of_io_weight(int(words[0])))
        for device, words in rows(text)
    )


def weight_line(one: IoWeight, *, version_1_range: bool) -> str:
    """The inverse of `weights`, for one disk.

    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files
    """
    return f"{one.major}:{one.minor} {one.weight if version_1_range else io_weight_of_blkio(one.weight)}"


def v1_use(texts: Mapping[str, str]) -> tuple[DeviceIo, ...]:
    """What version 1's counters say, given by their files' names.

    See: https://docs.kernel.org/admin-guide/cgroup-v1/blkio-controller.html
    """
    found: dict[tuple[int, int], DeviceIo] = {}
    for field, (name, wanted, _) in _COUNTERS.items():
        for device, (word, *count) in rows(texts.get(name, "")):
            if word == wanted:
                found[device] = replace(found.get(device, DeviceIo(*device)), **{field: int(count[0])})
    return tuple(found[device] for device in sorted(found))


def v2_use(text: str) -> tuple[DeviceIo, ...]:
    """What io.stat says. See: https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files"""
    found = []
    for device, words in rows(text):
        counts = dict(word.split("=", 1) for word in words if "=" in word)
        found.append(DeviceIo(*device, **{name: int(counts.get(key, 0)) for name, (_, _, key) in _COUNTERS.items()}))
    return tuple(sorted(found, key=lambda one: (one.major, one.minor)))


def write(path: Path, line: str) -> None:
    """Write one disk's `line`, and say in words why a disk cannot have it.

    Raises: UsageError (no such disk), HostError (its scheduler knows no weights), KernelError.
    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files
    """
    try:
        file.write(path, line)
    except KernelError as error:
        device = line.partition(" ")[0]
        if error.errno in (errno.ENODEV, errno.ENXIO):
            reason = "this machine has no whole disk of that number (a partition has no limits of its own): see lsblk"
            raise UsageError("device", device, reason) from None
        if error.errno == errno.EOPNOTSUPP:
            raise no_weight(os.path.basename(os.path.realpath(f"/sys/dev/block/{device}"))) from None
        raise


def no_weight(disk: str) -> HostError:
    """A weight cannot be had of `disk`, or of any (``*``).

    See: https://docs.kernel.org/block/bfq-iosched.html
    """
    return HostError(
        "a weight of disk I/O",
        f"sudo modprobe bfq; echo bfq | sudo tee /sys/block/{disk}/queue/scheduler",
        "no scheduler of a disk here knows weights" if disk == "*" else f"the scheduler of {disk} knows no weights",
    )


def count(place: Path) -> None:
    """Have version 1 count the I/O on every disk: from Linux 6.10 on it begins where somebody writes a rule.

    The rule is "no limit", so nothing else changes.

    See: https://docs.kernel.org/admin-guide/cgroup-v1/blkio-controller.html, block/blk-throttle.c tg_set_conf
    """
    for disk in Path("/sys/block").iterdir():
        with contextlib.suppress(KernelError):  # pulled out just now, or not ours to ask about
            if int(file.read(disk / "size")):
                file.write(place / "blkio.throttle.read_bps_device", f"{file.read(disk / 'dev')} 0")


def rows(text: str) -> Iterator[tuple[tuple[int, int], list[str]]]:
    """The lines that begin with a device, ``254:0 …``, as its numbers and the words behind them.

    See: https://docs.kernel.org/admin-guide/cgroup-v2.html#format
    """
    for line in text.splitlines():
        device, *words = line.split() or [""]
        major, separator, minor = device.partition(":")
        if separator and major.isdigit() and minor.isdigit() and words:
            yield (int(major), int(minor)), words


def _limits(found: Mapping[tuple[int, int], Mapping[str, int]]) -> tuple[IoLimit, ...]:
    none = dict.fromkeys(THROTTLES, -1)
    return tuple(IoLimit(*device, **{**none, **found[device]}) for device in sorted(found) if found[device])
