from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest

from labcontainer.errors import KernelError
from labcontainer.kernel import inotify
from labcontainer.kernel.inotify import Watch


def test_a_rename_into_a_watched_directory_is_heard_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    fd = inotify.inotify_init1()
    try:
        inotify.inotify_add_watch(fd, tmp_path, Watch.IN_MOVED_TO)
        os.rename(tmp_path / "old", tmp_path / "new")
        # struct inotify_event { int wd; uint32_t mask, cookie, len; char name[]; }
        event = os.read(fd, 4096)
        assert struct.unpack_from("iIII", event)[1] == Watch.IN_MOVED_TO
        assert event[16:].rstrip(b"\0") == b"new"
    finally:
        os.close(fd)


def test_what_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    fd = inotify.inotify_init1()
    try:
        with pytest.raises(KernelError, match="IN_CREATE") as caught:
            inotify.inotify_add_watch(fd, tmp_path / "none", Watch.IN_CREATE)
        assert caught.value.errno == errno.ENOENT
    finally:
        os.close(fd)
