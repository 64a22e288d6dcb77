"""Starter images, made from the host's own files: no network, and the same digest on the same host.

    lab/base     a shell and the core tools: a static busybox where one is on PATH, or the host's own programs
    lab/python   the layer of lab/base, and above it the running Python with its standard library

Everything is readable by everybody and nothing set-user-ID, so a container of any user runs it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from labcontainer.errors import HostError, NotFound
from labcontainer.image import elf, layer, starter_python
from labcontainer.image.host_tree import HostTree
from labcontainer.image.image import Image
from labcontainer.image.layer import Content, Copy, Directory, Layer, Link, Tree
from labcontainer.image.store import Store
from labcontainer.oci.descriptor import Platform
from labcontainer.oci.image_config import Execution, History, ImageConfig, RootFs

BASE, PYTHON = "lab/base", "lab/python"

_EPOCH = "1970-01-01T00:00:00Z"
_SEARCH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_TOOLS = (
    "sh", "bash", "awk", "basename", "cat", "chgrp", "chmod", "chown", "clear", "cp", "cut", "date", "dd", "df",
    "diff", "dirname", "dmesg", "du", "echo", "env", "expr", "false", "find", "flock", "free", "getent", "grep",
    "groups", "gzip", "head", "hostname", "id", "ip", "kill", "ln", "ls", "lsns", "mkdir", "mkfifo", "mknod",
    "mktemp", "mount", "mountpoint", "mv", "nice", "nproc", "nsenter", "od", "pgrep", "pidof", "ping", "pkill",
    "printenv", "printf", "ps", "pwd", "readlink", "realpath", "rm", "rmdir", "sed", "seq", "setpriv", "sha256sum",
    "sleep", "sort", "stat", "stty", "sync", "sysctl", "tail", "tar", "tee", "test", "timeout", "top", "touch", "tr",
    "true", "truncate", "tty", "umount", "uname", "uniq", "unshare", "uptime", "watch", "wc", "which", "whoami",
    "xargs", "yes",
)  # fmt: skip
_TERMINALS = ("l/linux", "s/screen", "v/vt100", "x/xterm", "x/xterm-256color")
_TERMINFO = ("/lib/terminfo", "/usr/share/terminfo", "/etc/terminfo")

_FILES = {
    "etc/passwd": """\
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
student:x:1000:1000:student:/home/student:/bin/sh
""",
    "etc/group": "root:x:0:\ntty:x:5:\nstudent:x:1000:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/os-release": 'NAME="labcontainer"\nID=labcontainer\nPRETTY_NAME="labcontainer starter image"\n',
}
_DIRECTORIES = {
    "dev": 0o755, "home/student": 0o755, "mnt": 0o755, "opt": 0o755, "proc": 0o755, "root": 0o700, "run": 0o755,
    "srv": 0o755, "sys": 0o755, "tmp": 0o1777, "usr/bin": 0o755, "usr/local/bin": 0o755, "var/log": 0o755,
    "var/tmp": 0o1777,
}  # fmt: skip


def ensure(store: Store) -> None:
    """Make those of the two images that the store does not have.

    Two processes may do so at once: they make the same bytes.

    Raises: HostError where the host has no shell, or no standard library, that can be read.
    """
    missing = {name for name in (BASE, PYTHON) if not _has(store, name)}
    if not missing:
        return
    tree = base_tree(static_busybox())
    base = layer.write(tree, store)
    if BASE in missing:
        _add(store, BASE, [base], command="sh")
    if PYTHON in missing:
        python = layer.write(starter_python.tree(below=tree), store)
        _add(store, PYTHON, [base, python], command="python3")


def base_tree(busybox: Path | None) -> Tree:
    """What is in lab/base: that busybox, or without one the host's own programs. Raises: HostError."""
    tree = HostTree()
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr/sbin", "usr/lib64"):
        if os.path.islink(f"/{name}"):
            tree.put(name, Link(os.readlink(f"/{name}")))
    for path, mode in _DIRECTORIES.items():
        tree.put(path, Directory(mode))
    for path, text in _FILES.items():
        tree.put(path, Content(text.encode()))
    if busybox:
        _add_busybox(tree, busybox)
    else:
        _add_tools(tree)
    return tree.entries


def static_busybox() -> Path | None:
    """The busybox on PATH, if it needs no libraries. See: https://busybox.net"""
    found = shutil.which("busybox", path=f"{os.environ.get('PATH', '')}:{_SEARCH}")
    header = elf.read(Path(found)) if found else None
    if found is None or header is None or header.interpreter or header.needed:
        return None
    return Path(found)


def _has(store: Store, name: str) -> bool:
    try:
        store.resolve(name)
    except NotFound:
        return False
    return True


def _add(store: Store, name: str, layers: Sequence[Layer], *, command: str) -> Image:
    host = Platform.host()
    made = ("the host's shell and core tools", "the host's Python and its standard library")
    config = ImageConfig(
        architecture=host.architecture,
        os=host.os,
        rootfs=RootFs("layers", tuple(one.diff_id for one in layers)),
        # Not the time of making: the same files shall give the same digest tomorrow.
        created=_EPOCH,
        config=Execution(
            env=("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"), cmd=(command,)
        ),
        history=tuple(History(_EPOCH, f"labcontainer starter: {text}") for text in made[: len(layers)]),
    )
    return store.add_image(config, [one.descriptor for one in layers], tag=name)


def _add_busybox(tree: HostTree, busybox: Path) -> None:
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=False)
    directory = "usr/bin" if "bin" in tree.entries else "bin"
    tree.put(f"{directory}/busybox", Copy(busybox))
    for name in listed.stdout.split():
        if name != "busybox" and "/" not in name:
            tree.put(f"{directory}/{name}", Link("busybox"))
    if directory == "bin":
        tree.put("usr/bin/env", Link("/bin/busybox"))  # where scripts look for it


def _add_tools(tree: HostTree) -> None:
    missing = set()
    for name in _TOOLS:
        found = shutil.which(name, path=_SEARCH)
        try:
            if found is None:
                raise NotFound("program", name)
            tree.add_program(Path(found))
        except NotFound:
            missing.add(name)
    if "sh" in missing:
        raise HostError("starter images", "install busybox-static", "no shell that can be read")
    for directory in _TERMINFO:
        for terminal in _TERMINALS:
            with contextlib.suppress(NotFound):
                tree.add(Path(directory) / terminal)
