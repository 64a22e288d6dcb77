from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from labcontainer.errors import DigestMismatch, NotFound
from labcontainer.image import layer
from labcontainer.image.image import Image
from labcontainer.image.layer import Content, Layer
from labcontainer.image.snapshot import Snapshots
from labcontainer.image.store import Store
from labcontainer.oci.digest import Digest
from labcontainer.oci.image_config import ImageConfig, RootFs

REPOSITORY = Path(__file__).parents[2]


def made(root: Path, *layers: Layer) -> Image:
    config = ImageConfig("amd64", "linux", RootFs("layers", tuple(one.diff_id for one in layers)))
    return Store(root / "images").add_image(config, [one.descriptor for one in layers], tag="lab/test")


@pytest.fixture
def image(tmp_path: Path) -> Image:
    store = Store(tmp_path / "images")
    below = layer.write({f"d/{number}": Content(b"x" * number) for number in range(300)}, store)
    return made(tmp_path, below, layer.write({"top": Content(b"top")}, store))


def test_the_topmost_layer_comes_first(tmp_path: Path, image: Image) -> None:
    top, below = Snapshots(tmp_path / "layers").lowerdirs(image, Store(tmp_path / "images"))
    assert (top / "top").read_bytes() == b"top"
    assert (below / "d" / "7").read_bytes() == b"x" * 7
    assert top.name == image.diff_ids[1].hex


def test_a_layer_is_unpacked_once_and_shared(tmp_path: Path, image: Image) -> None:
    snapshots, store = Snapshots(tmp_path / "layers"), Store(tmp_path / "images")
    below = snapshots.lowerdirs(image, store)[1]
    inode = (below / "d").stat().st_ino
    other = made(tmp_path, Layer(image.layers[0], image.diff_ids[0]))
    assert snapshots.lowerdirs(other, store) == (below,)
    assert (below / "d").stat().st_ino == inode


def test_nobody_else_may_enter_the_layers_and_the_root_is_open_to_the_container(tmp_path: Path, image: Image) -> None:
    before = os.umask(0o077)
    try:
        (top, _) = Snapshots(tmp_path / "layers").lowerdirs(image, Store(tmp_path / "images"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "layers").stat().st_mode) == 0o700
    assert stat.S_IMODE(top.stat().st_mode) == 0o755


def test_many_processes_at_once_unpack_it_whole_and_once(tmp_path: Path, image: Image) -> None:
    program = f"""
import sys
from pathlib import Path
from labcontainer.image.snapshot import Snapshots
from labcontainer.image.store import Store
root = Path({str(tmp_path)!r})
store = Store(root / "images")
lowerdirs = Snapshots(root / "layers").lowerdirs(store.resolve("lab/test"), store)
print(len(list((lowerdirs[1] / "d").iterdir())))
"""
    commands = [[sys.executable, "-c", program]] * 6
    children = [subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) for command in commands]
    assert [child.communicate()[0] for child in children] == ["300\n"] * 6
    assert list((tmp_path / "layers" / "partial").iterdir()) == []


def test_what_a_killed_process_has_left_is_cleared_and_done_again(tmp_path: Path, image: Image) -> None:
    left = tmp_path / "layers" / "partial" / image.diff_ids[0].hex
    (left / "d" / "half").mkdir(parents=True)
    (left / "evil").symlink_to(tmp_path)
    lowerdirs = Snapshots(tmp_path / "layers").lowerdirs(image, Store(tmp_path / "images"))
    assert sorted(os.listdir(lowerdirs[1])) == ["d"]
    assert len(os.listdir(lowerdirs[1] / "d")) == 300
    assert list((tmp_path / "layers" / "partial").iterdir()) == []


def test_a_layer_that_is_not_its_diff_id_never_appears(tmp_path: Path, image: Image) -> None:
    lying = made(tmp_path, Layer(image.layers[0], Digest.of(b"something else")))
    with pytest.raises(DigestMismatch):
        Snapshots(tmp_path / "layers").lowerdirs(lying, Store(tmp_path / "images"))
    assert [path.name for path in (tmp_path / "layers").iterdir()] == ["partial"]
    assert list((tmp_path / "layers" / "partial").iterdir()) == []


def test_a_layer_whose_blob_is_missing_is_not_found(tmp_path: Path, image: Image) -> None:
    store = Store(tmp_path / "images")
    store.blobs.path(image.layers[0].digest).unlink()
    with pytest.raises(NotFound, match="no such blob"):
        Snapshots(tmp_path / "layers").lowerdirs(image, store)
