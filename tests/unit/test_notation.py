"""How calls are written: one look at each kind of argument."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from labcontainer.kernel.capabilities import Capability
from labcontainer.kernel.libc import Buffer
from labcontainer.kernel.mount import At, MountAttr, MountFlag
from labcontainer.kernel.notation import Device, Fields, Mode, show, shown, signature


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (MountFlag.MS_BIND | MountFlag.MS_REC, "MS_BIND|MS_REC"),
        (MountFlag(0), "0"),
        (MountFlag.MS_BIND | MountFlag(1 << 30), "MS_BIND|0x40000000"),
        (At.AT_FDCWD, "AT_FDCWD"),
        (Mode(0o755), "0755"),
        (Mode(stat.S_IFCHR | 0o666), "S_IFCHR|0666"),
        (Device(os.makedev(1, 3)), "makedev(1, 3)"),
        (-1, "-1"),
        ('a "b"', '"a \\"b\\""'),
        (b"\xff", '"\\\\xff"'),
        (Path("/mnt"), '"/mnt"'),
        (["sh", "-c"], '["sh", "-c"]'),
        ({"PATH": "/bin"}, '["PATH=/bin"]'),
        (frozenset({Capability.CAP_KILL, Capability.CAP_CHOWN}), "CAP_CHOWN|CAP_KILL"),
        (frozenset(), "0"),
        (Fields(len=3), "{len=3}"),
        (Buffer(bytes(24)), "<24 bytes>"),
        (Buffer(bytes(8), attr_set=MountAttr.MOUNT_ATTR_RDONLY), "{attr_set=MOUNT_ATTR_RDONLY}"),
    ],
)
def test_a_value_is_written_as_in_c(value: object, text: str) -> None:
    assert show(value) == text


def test_a_text_longer_than_a_page_is_cut() -> None:
    assert show("x" * 4096) == f'"{"x" * 4096}"'
    assert show("x" * 4097) == f'"{"x" * 4096}…"'


def test_a_call_is_written_with_the_names_of_its_arguments() -> None:
    assert signature("umount2", shown({"target": "/mnt", "flags": 2})) == 'umount2(target="/mnt", flags=2)'
