"""A real overlay to experiment on, held by a child in a mount namespace of its own.

    >>> from labcontainer.runtime.bench import Bench
    >>> with Bench(Path("/tmp/bench"), [{"etc/motd": "hello"}]) as bench:
    ...     bench.act("delete", "merged/etc/motd")
    ...     [(entry.path, entry.kind, entry.device) for entry in bench.look().upper.entries]
    [('etc', 'directory', ''), ('etc/motd', 'whiteout', '0:0')]

    lower1/ lower2/ …    the layers, the bottom one first; nobody writes here while the overlay is mounted
    upper/               where every change lands
    work/                scratch space of the overlay itself
    merged/              the union; empty for everyone but the child, whose mount it is

The child answers one JSON line with one JSON line until its stdin ends, so it cannot outlive its asker, and the mount
cannot outlive the child.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainer.errors import HostError, KernelError, UsageError
from labcontainer.kernel import mount, namespaces, trace, userns
from labcontainer.kernel.mount import MountFlag
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.kernel.overlay import Overlay
from labcontainer.kernel.trace import Role
from labcontainer.runtime import fault, layers
from labcontainer.runtime.layers import Layer

_HINTS = {
    ("rename", errno.EXDEV): "a directory of a lower layer cannot be renamed in one step; mv copies it, file by file",
    ("rename", errno.ENOTEMPTY): "the new name is a directory that holds something",
    ("rename", errno.ENOENT): "there is no such file in merged/, or no such directory for its new name",
    ("delete", errno.ENOENT): "there is no such file in merged/; what a whiteout hides is gone for everybody inside",
    ("write", errno.ENOENT): "its directory does not exist in merged/; make it with mkdir first",
    ("append", errno.ENOENT): "its directory does not exist in merged/; make it with mkdir first",
    ("mkdir", errno.ENOENT): "the directory above it does not exist in merged/; make that first",
    ("write", errno.EISDIR): "that name is a directory",
    ("mkdir", errno.EEXIST): "that name is taken in merged/",
}

Files = Mapping[str, str | None]  # path → text; None makes a directory


@dataclass(frozen=True, slots=True)
class Stack:
    """The overlay's directories as they are now; ``lowers`` with the bottom one first."""

    lowers: tuple[Layer, ...]
    upper: Layer
    merged: Layer


class Bench:
    """The asker's end: directories, child and commands, all of which `close` removes."""

    def __init__(self, directory: Path, contents: Sequence[Files]) -> None:
        """Mount `contents`, the bottom layer first, under the private `directory`, which must not hold a bench yet.

        Needs: CAP_SYS_ADMIN or, for an ordinary user, unprivileged user namespaces and Linux 5.11.
        Raises: UsageError; KernelError; HostError. See: man 2 mount, https://docs.kernel.org/filesystems/overlayfs.html
        """
        if not contents:
            raise UsageError("contents", contents, "an overlay needs at least one layer below")
        self.directory = directory.absolute()
        self.calls: tuple[trace.Event, ...] = ()
        self._names = tuple(f"lower{number}" for number in range(1, len(contents) + 1))
        self._lock = threading.Lock()
        self._lay_out(contents)
        command = [sys.executable, "-I", "-m", "labcontainer.runtime.bench", str(self.directory), *self._names]
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            events = self._receive()["calls"]
        except BaseException:
            self.close()
            raise
        self.calls = trace.merge(trace.Event.from_json(line) for line in events)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The child's, whose /proc/PID/mountinfo shows the mount and whose /proc/PID/root leads to it."""
        return self._child.pid

    def act(self, verb: str, path: str, argument: str = "") -> None:
        """Do one thing to the union: ``write``, ``append``, ``mkdir``, ``delete``, ``rename`` or ``chmod``.

        `argument` is the text, the new path or the octal mode. Paths begin with ``merged/``.

        Raises: UsageError; KernelError with what the Linux kernel answered (EXDEV: a directory of a lower layer cannot
        be renamed; mv copies it instead). See: man 2 rename, man 2 unlink
        """
        self._ask({"verb": verb, "path": path, "argument": argument})

    def look(self) -> Stack:
        """All layers, read by the child from the directories themselves."""
        answer = self._ask({"verb": "look"})
        lowers = tuple(Layer.from_json(layer) for layer in answer["lowers"])
        return Stack(lowers, Layer.from_json(answer["upper"]), Layer.from_json(answer["merged"]))

    def close(self) -> None:
        """End the child and its mount, and remove the directories. Closing twice is fine."""
        self._child.stdin.close() if self._child.stdin else None
        self._child.wait()
        self._child.stdout.close() if self._child.stdout else None
        # The overlay makes work/work with mode 000; its owner must open it before it can be removed.
        with contextlib.suppress(FileNotFoundError):
            os.chmod(self.directory / "work" / "work", 0o700)
        for name in (*self._names, "upper", "work", "merged"):
            shutil.rmtree(self.directory / name, ignore_errors=True)

    def _lay_out(self, contents: Sequence[Files]) -> None:
        for name in (*self._names, "upper", "work", "merged"):
            try:
                (self.directory / name).mkdir(parents=True)
            except FileExistsError:
                raise UsageError("directory", str(self.directory), "it holds a bench already") from None
        for name, files in zip(self._names, contents, strict=True):
            for path, text in files.items():
                target = self.directory / name / path
                if text is None:
                    target.mkdir(parents=True, exist_ok=True)
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(text)

    def _ask(self, request: dict[str, str]) -> dict[str, Any]:
        assert self._child.stdin is not None
        with self._lock:
            if self._child.stdin.closed:
                raise HostError("this bench", remedy="make a new one", reason="it was closed")
            with contextlib.suppress(BrokenPipeError):
                self._child.stdin.write(json.dumps(request).encode() + b"\n")
                self._child.stdin.flush()
            return self._receive()

    def _receive(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise HostError("the overlay bench", remedy="make a new one", reason="its child process has ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise fault.from_json(answer["error"])
        return answer


def main(directory: Path, lowers: Sequence[str]) -> None:
    """The child: mount, say so, then answer one line with one line until stdin ends."""
    journal = os.memfd_create("trace", os.MFD_CLOEXEC)
    fcntl.fcntl(journal, fcntl.F_SETFL, os.O_APPEND)
    trace.to_file(journal)
    trace.become(Role.CHILD)
    try:
        _hold(directory, lowers)
    except Exception as error:  # noqa: BLE001  whatever it is, the asker must hear of it in words
        _say({"error": fault.to_json(error)})
        return
    trace.stop()
    _say({"calls": os.pread(journal, os.fstat(journal).st_size, 0).decode().splitlines()})
    for line in sys.stdin.buffer:
        try:
            _say(_answer(directory, lowers, json.loads(line)))
        except Exception as error:  # noqa: BLE001  as above
            _say({"error": fault.to_json(error)})
    mount.umount2(directory / "merged")


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _hold(directory: Path, lowers: Sequence[str]) -> None:
    # Who we are: a process with one thread and the asker's privileges, about to be root in a user namespace.
    rootless = os.geteuid() != 0
    maps = userns.own_maps(ranges=False)
    with trace.step("namespaces", why="a mount in here is seen by nobody else and ends with this process"):
        if rootless:
            namespaces.unshare(CloneFlag.CLONE_NEWUSER)
            userns.write_maps(os.getpid(), maps)
        namespaces.unshare(CloneFlag.CLONE_NEWNS)
        mount.set_propagation("/", MountFlag.MS_REC | MountFlag.MS_PRIVATE)
    topmost_first = tuple(directory / name for name in reversed(lowers))
    # Root's marks need no user.* attributes, which a tmpfs has from Linux 6.6 on. Without userxattr some distributions'
    # overlay renames directories, and others' does not: the experiment shows what all containers have in common.
    upper, work, redirect = directory / "upper", directory / "work", None if rootless else "off"
    union = Overlay(topmost_first, upper, work, userxattr=rootless, redirect_dir=redirect)
    try:
        with trace.step("overlay", why="one mount makes the union; from here on, the Linux kernel does the rest"):
            union.mount(directory / "merged")
    except KernelError as error:
        if error.errno != errno.EINVAL:
            raise
        remedy = "choose a directory on ext4, xfs, btrfs or tmpfs, such as one below /dev/shm (rootless: Linux 5.11)"
        raise HostError(f"an overlay below {directory}", remedy, "its file system cannot hold an upperdir") from None


def _answer(directory: Path, lowers: Sequence[str], request: dict[str, str]) -> dict[str, Any]:
    if request["verb"] == "look":
        return {
            "lowers": [layers.read(directory / name, name).to_json() for name in lowers],
            "upper": layers.read(directory / "upper", "upper").to_json(),
            "merged": layers.read(directory / "merged", "merged").to_json(),
        }
    verb, path, argument = request["verb"], request["path"], request["argument"]
    try:
        _act(directory, verb, path, argument)
    except OSError as error:
        # With the paths as the student wrote them; the bench's own directory would only hide the point.
        paths = f'"{path}", "{argument}"' if verb == "rename" else f'"{path}"'
        number = error.errno or 0
        raise KernelError(number, f"{verb}({paths})", _HINTS.get((verb, number), "")) from None
    return {}


def _act(directory: Path, verb: str, path: str, argument: str) -> None:
    target = _in_merged(directory, "path", path)
    match verb:
        case "write" | "append":
            _write(target, argument, os.O_TRUNC if verb == "write" else os.O_APPEND)
        case "mkdir":
            target.mkdir()
        case "delete" if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        case "delete":
            target.unlink()
        case "rename":
            target.rename(_in_merged(directory, "new path", argument))
        case "chmod":
            target.chmod(_octal(argument), follow_symlinks=False)
        case _:
            raise UsageError("verb", verb, "choose from write, append, mkdir, delete, rename, chmod")


def _write(target: Path, text: str, how: int) -> None:
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | how, 0o644)
    with os.fdopen(fd, "w") as file:
        file.write(text)


def _in_merged(directory: Path, parameter: str, path: str) -> Path:
    first, *rest = path.split("/")
    if first.startswith("lower"):
        raise UsageError(parameter, path, "a lower layer must not change while it is mounted; write to merged/ instead")
    if first != "merged" or not rest or any(part in ("", ".", "..") for part in rest):
        raise UsageError(parameter, path, "it must name something below merged/, such as merged/etc/motd")
    return directory.joinpath("merged", *rest)


def _octal(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError:
        raise UsageError("mode", text, "it must be octal, such as 600") from None


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
