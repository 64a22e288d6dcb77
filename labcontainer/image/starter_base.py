"""The layer of lab/base: a shell and the core tools, and the few files that programs ask for by name."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from labcontainer.errors import HostError, NotFound
from labcontainer.image import elf
from labcontainer.image.host_tree import HostTree
from labcontainer.image.layer import Content, Copy, Directory, Link, Tree

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
    # Where the engine puts a container's own: without them each container would make the two in its upperdir.
    "etc/hostname": "",
    "etc/resolv.conf": "",
    "etc/os-release": 'NAME="labcontainer"\nID=labcontainer\nPRETTY_NAME="labcontainer starter image"\n',
}
_DIRECTORIES = {
    "dev": 0o755, "home/student": 0o755, "mnt": 0o755, "opt": 0o755, "proc": 0o755, "root": 0o700, "run": 0o755,
    "srv": 0o755, "sys": 0o755, "tmp": 0o1777, "usr/bin": 0o755, "usr/local/bin": 0o755, "var/log": 0o755,
    "var/tmp": 0o1777,
}  # fmt: skip


def tree(busybox: Path | None) -> Tree:
    """What is in lab/base: that busybox, or without one the host's own programs. Raises: HostError."""
    found = HostTree()
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr/sbin", "usr/lib64"):
        if os.path.islink(f"/{name}"):
            found.put(name, Link(os.readlink(f"/{name}")))
    for path, mode in _DIRECTORIES.items():
        found.put(path, Directory(mode))
    for path, text in _FILES.items():
        found.put(path, Content(text.encode()))
    if busybox:
        _add_busybox(found, busybox)
    else:
        _add_tools(found)
    return found.entries


def static_busybox() -> Path | None:
    """The busybox on PATH, if it needs no libraries. See: https://busybox.net"""
    found = shutil.which("busybox", path=f"{os.environ.get('PATH', '')}:{_SEARCH}")
    header = elf.read(Path(found)) if found else None
    if found is None or header is None or header.interpreter or header.needed:
        return None
    return Path(found)


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
