from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

from labcontainer.image import compression, layer
from labcontainer.image.layer import Content, Copy, Directory, Entry, Link
from labcontainer.image.store import Store
from labcontainer.oci.digest import Digest


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    file = tmp_path / "tool"
    file.write_bytes(b"#!/bin/sh\n")
    file.chmod(0o4700)
    tree: dict[str, Entry] = {
        "usr/bin/tool": Copy(file),
        "bin": Link("usr/bin"),
        "tmp": Directory(0o1777),
        "etc/x": Content(b"x"),
    }
    first = layer.write(tree, Store(tmp_path / "one"))
    os.utime(file, (1, 1))
    second = layer.write(dict(reversed(tree.items())), Store(tmp_path / "two"))
    assert first == second


def test_a_layer_says_nothing_of_who_made_it_and_when(tmp_path: Path) -> None:
    file = tmp_path / "tool"
    file.write_bytes(b"x")
    file.chmod(0o6750)
    store = Store(tmp_path / "images")
    made = layer.write({"a/b/tool": Copy(file), "a/l": Link("b"), "t": Directory(0o1777)}, store)
    with store.open_blob(made.descriptor.digest) as blob:
        packed = blob.read()
    data = gzip.decompress(packed)
    assert made.diff_id == Digest.of(data)
    assert packed[3:8] == b"\0" * 5  # neither a file's name nor a time in gzip's header
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = archive.getmembers()
    assert [(member.name, member.mode) for member in members] == [
        ("a", 0o755), ("a/b", 0o755), ("a/b/tool", 0o755), ("a/l", 0o777), ("t", 0o1777),
    ]  # fmt: skip
    assert {(member.uid, member.gid, member.uname, member.gname, member.mtime) for member in members} == {
        (0, 0, "", "", 0)
    }


def test_what_is_packed_is_read_back_and_what_is_plain_is_left() -> None:
    packed = io.BytesIO()
    with compression.writer(packed) as file:
        file.write(b"content" * 1000)
    assert compression.reader(io.BytesIO(packed.getvalue())).read(-1) == b"content" * 1000
    assert compression.reader(io.BytesIO(b"abcdefg")).read(-1) == b"abcdefg"
    assert compression.reader(io.BytesIO(b"")).read(-1) == b""
