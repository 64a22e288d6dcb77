"""Starter images, made from the host's own files: no network, no download, the same digest on the same host.

    lab/base     a shell and the core tools (a static busybox, or the host's programs and their libraries)
    lab/python   lab/base, and above it the running Python with its standard library
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from labcontainer.errors import HostError, NotFound
from labcontainer.image import layer, libraries
from labcontainer.image.layer import Copy, Directory, Entry, Layer, Link, Text
from labcontainer.image.store import Store
from labcontainer.oci.image_spec import Execution, History, ImageConfig, Rootfs

BASE, PYTHON = "lab/base", "lab/python"

_EPOCH = "1970-01-01T00:00:00Z"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_SEARCH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_TOOLS = (
    "sh bash cat chmod chown cp cut date dd df dirname du echo env expr false find free grep head hostname id ip kill "
    "ln ls lsns mkdir mkfifo mknod mktemp mount mv nproc nsenter ps pwd readlink realpath rm rmdir sed seq sleep sort "
    "stat stty sync tail tee test timeout touch tr true tty umount uname uniq unshare wc which whoami xargs yes"
).split()
_LEFT_OUT = {"test", "tests", "idlelib", "ensurepip", "turtledemo", "lib2to3", "__pycache__", "site-packages",
             "dist-packages", "tkinter", "config"}  # fmt: skip

_PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\nstudent:x:1000:1000::/home/student:/bin/sh\n"
_GROUP = b"root:x:0:\ntty:x:5:\nnogroup:x:65534:\nstudent:x:1000:\n"
_RELEASE = b'NAME="labcontainer starter image"\nID=labcontainer\nPRETTY_NAME="labcontainer starter image"\n'


def ensure(store: Store) -> None:
    """Make those of the two images that the store does not have.

    Raises: HostError where the host has neither a static busybox nor a shell that can be read.
    """
    missing = [name for name in (BASE, PYTHON) if not _has(store, name)]
    if not missing:
        return
    base = layer.write(_base_tree(), store)
    if BASE in missing:
        store.add_image(_config([base], "the host's shell and core tools", "sh"), (base.descriptor,), BASE)
    if PYTHON in missing:
        python = layer.write(_python_tree(), store)
        config = _config([base, python], "the host's Python", "python3")
        store.add_image(config, (base.descriptor, python.descriptor), PYTHON)


def _has(store: Store, name: str) -> bool:
    try:
        store.resolve(name)
    except NotFound:
        return False
    return True


def _config(layers: list[Layer], what: str, command: str) -> ImageConfig:
    made = ["the host's shell and core tools", what][: len(layers)]
    return ImageConfig(
        architecture=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        os="linux",
        rootfs=Rootfs("layers", tuple(one.diff_id for one in layers)),
        config=Execution(
            env=("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"), cmd=(command,)
        ),
        created=_EPOCH,
        history=tuple(History(created=_EPOCH, created_by=f"labcontainer: {text}") for text in made),
    )


def _base_tree() -> dict[str, Entry]:
    tree: dict[str, Entry] = {
        **_directory_links(),
        "etc/passwd": Text(_PASSWD),
        "etc/group": Text(_GROUP),
        "etc/os-release": Text(_RELEASE),
        "etc/nsswitch.conf": Text(b"passwd: files\ngroup: files\nhosts: files dns\n"),
        "etc/hosts": Text(b"127.0.0.1 localhost\n::1 localhost\n"),
        "home/student": Directory(),
        "root": Directory(0o700),
        "tmp": Directory(0o1777),
        "var/tmp": Directory(0o1777),
        "run": Directory(),
    }
    for name in ("dev", "proc", "sys", "mnt", "usr/local/bin"):
        tree[name] = Directory()
    tree.update(_busybox() or _host_tools())
    return tree


def _busybox() -> dict[str, Entry] | None:
    found = shutil.which("busybox")
    if not found or libraries.needed([Path(found)]):
        return None
    listed = subprocess.run([found, "--list"], capture_output=True, text=True, check=False)
    names = [name for name in listed.stdout.split() if name != "busybox"]
    home = _inside(Path("/bin/busybox"))
    return {home: Copy(Path(found)), **{f"{os.path.dirname(home)}/{name}": Link("busybox") for name in names}}


def _host_tools() -> dict[str, Entry]:
    tree: dict[str, Entry] = {}
    for name in _TOOLS:
        found = shutil.which(name, path=_SEARCH)
        if found and os.access(found, os.R_OK):
            tree[_inside(Path(found))] = Copy(Path(found))
    if not any(path.endswith("bin/sh") for path in tree):
        raise HostError("starter images", "install busybox-static", "the host has no shell that can be read")
    tree.update(_libraries(entry.source for entry in list(tree.values()) if isinstance(entry, Copy)))
    return tree


def _python_tree() -> dict[str, Entry]:
    executable = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
    standard = Path(sysconfig.get_path("stdlib", vars={"base": sys.base_prefix, "installed_base": sys.base_prefix}))
    tree: dict[str, Entry] = {**_directory_links(), _inside(executable): Copy(executable)}
    tree["usr/local/bin/python3"] = Link(str(executable))
    tree["usr/local/bin/python"] = Link("python3")
    extensions = [executable]
    for source in _standard_library(standard):
        tree[_inside(source)] = Copy(source)
        if source.suffix == ".so":
            extensions.append(source)
    tree.update(_libraries(extensions))
    return tree


def _standard_library(top: Path) -> list[Path]:
    found = []
    for place, directories, files in os.walk(top):
        directories[:] = sorted(name for name in directories if name not in _LEFT_OUT and not name.startswith("config-"))
        paths = (Path(place) / name for name in files if not name.endswith((".pyc", ".a", ".o")))
        found += [path for path in paths if os.access(path, os.R_OK) and path.is_file()]
    return found


def _libraries(programs: Iterable[Path]) -> dict[str, Entry]:
    return {_inside(path): Copy(path) for path in libraries.needed(programs)}


def _directory_links() -> dict[str, Entry]:
    """``/bin`` and its like as the host has them: on most they are links into /usr."""
    tree: dict[str, Entry] = {}
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/{name}")
            tree[name] = Link(target)
            tree[target.lstrip("/")] = Directory()
    return tree


def _inside(path: Path) -> str:
    """Where a file of the host stands in the image: its directory's real place, its own name."""
    return str(path.parent.resolve() / path.name).lstrip("/")
