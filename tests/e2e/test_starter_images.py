from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from labcontainer.image import layer, starter, starter_base, starter_python
from labcontainer.image.image import Image
from labcontainer.image.snapshot import Snapshots
from labcontainer.image.store import Store
from labcontainer.oci.image_config import ImageConfig, RootFs

Needs = Callable[[str], Path]


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def store(starter_images: Path) -> Store:
    return Store(starter_images / "images")


@pytest.fixture
def base(store: Store) -> Image:
    return store.resolve("lab/base")


@pytest.fixture
def python(store: Store) -> Image:
    return store.resolve("lab/python")


def test_the_images_share_their_lowest_layer(base: Image, python: Image) -> None:
    assert python.layers[0] == base.layers[0]
    assert len(python.layers) == 2
    assert (base.config.config.cmd, python.config.config.cmd) == (("sh",), ("python3",))


def test_the_same_host_gives_the_same_digests(tmp_path: Path, base: Image, python: Image) -> None:
    again = Store(tmp_path / "images")
    starter.ensure(again)
    assert [again.resolve(name).descriptor.digest for name in ("lab/base", "lab/python")] == [
        base.descriptor.digest,
        python.descriptor.digest,
    ]


def test_what_is_there_is_not_made_again(store: Store) -> None:
    before = (store.root / "index.json").stat()
    starter.ensure(store)
    assert (store.root / "index.json").stat().st_mtime_ns == before.st_mtime_ns


def test_skopeo_reads_them_in_place(needs: Needs, store: Store, base: Image) -> None:
    found = json.loads(run(needs("skopeo"), "inspect", f"oci:{store.root}:lab/base"))
    assert found["Digest"] == str(base.descriptor.digest)
    assert found["Layers"] == [str(one.digest) for one in base.layers]


def test_skopeo_copies_them_to_a_docker_archive(needs: Needs, store: Store, tmp_path: Path) -> None:
    run(
        needs("skopeo"),
        "copy",
        "-q",
        f"oci:{store.root}:lab/python",
        f"docker-archive:{tmp_path}/out.tar:lab/python:latest",
    )
    assert (tmp_path / "out.tar").stat().st_size > 1 << 20


def test_what_skopeo_copies_into_our_layout_is_found(
    needs: Needs, starter_images: Path, tmp_path: Path, base: Image
) -> None:
    skopeo = needs("skopeo")
    run(skopeo, "copy", "-q", f"oci:{starter_images}/images:lab/base", f"oci:{tmp_path}/images:registry.example/x:1")
    assert Store(tmp_path / "images").resolve("registry.example/x:1").id == base.id


def test_umoci_unpacks_what_we_unpack(needs: Needs, starter_images: Path, tmp_path: Path, base: Image) -> None:
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    run(needs("umoci"), "unpack", *rootless, "--image", f"{starter_images}/images:lab/base", tmp_path / "bundle")
    (ours,) = Snapshots(starter_images / "layers").lowerdirs(base, Store(starter_images / "images"))
    assert listing(ours) == listing(tmp_path / "bundle" / "rootfs")


def test_umoci_makes_a_layer_that_we_unpack_as_it_does(needs: Needs, starter_images: Path, tmp_path: Path) -> None:
    umoci = needs("umoci")
    run(needs("skopeo"), "copy", "-q", f"oci:{starter_images}/images:lab/base", f"oci:{tmp_path}/images:lab/base")
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    run(umoci, "unpack", *rootless, "--image", f"{tmp_path}/images:lab/base", tmp_path / "bundle")
    rootfs = tmp_path / "bundle" / "rootfs"
    (rootfs / "etc" / "hosts").unlink()
    (rootfs / "etc" / "new").write_text("new")
    run(umoci, "repack", "--image", f"{tmp_path}/images:changed", tmp_path / "bundle")
    store = Store(tmp_path / "images")
    top, below = Snapshots(tmp_path / "layers").lowerdirs(store.resolve("changed"), store)
    assert (top / "etc" / "new").read_text() == "new"
    assert os.lstat(top / "etc" / "hosts").st_rdev == 0
    assert (below / "etc" / "hosts").is_file()


def test_without_busybox_the_hosts_own_programs_are_taken(needs_root: None, tmp_path: Path) -> None:
    store = Store(tmp_path / "images")
    tree = starter_base.tree(None)
    layers = layer.write(tree, store), layer.write(starter_python.tree(tree), store)
    config = ImageConfig("amd64", "linux", RootFs("layers", tuple(one.diff_id for one in layers)))
    image = store.add_image(config, [one.descriptor for one in layers])
    lowerdirs = Snapshots(tmp_path / "layers").lowerdirs(image, store)
    assert (
        inside(lowerdirs, "id -un; ls -d /tmp; ps -p 1 >/dev/null; python3 -c 'import ssl, ctypes; print(7)'")
        == "root\n/tmp\n7\n"
    )


def test_everybody_in_a_container_may_run_python(needs_root: None, starter_images: Path, python: Image) -> None:
    lowerdirs = Snapshots(starter_images / "layers").lowerdirs(python, Store(starter_images / "images"))
    script = "import os, json, ssl, hashlib; os.setuid(1000); import asyncio, sqlite3; print(os.getuid())"
    assert inside(lowerdirs, f"python3 -c '{script}'") == "1000\n"
    assert inside(lowerdirs, "find / -xdev -perm /6000; find /usr ! -perm -004 ! -type l") == ""


def inside(lowerdirs: tuple[Path, ...], script: str) -> str:
    """What `script` prints in the union of `lowerdirs`, seen from a mount namespace of its own."""
    union = ":".join(str(directory) for directory in lowerdirs)
    mount = f"mount -t overlay overlay -o lowerdir={union} /mnt && mount -t proc proc /mnt/proc"
    command = f'{mount} && exec env -i PATH=/usr/local/bin:/usr/bin:/bin /usr/sbin/chroot /mnt sh -c "$1"'
    return run("unshare", "--mount", "sh", "-c", command, "sh", script)


def listing(root: Path) -> list[tuple[str, int, int, int, str]]:
    """Every path below `root` with what matters of it."""
    found = []
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else "" if path.is_dir() else str(status.st_size)
        found.append((str(path.relative_to(root)), status.st_mode, status.st_uid, int(status.st_mtime), content))
    return found
