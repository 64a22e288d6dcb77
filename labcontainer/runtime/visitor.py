"""The helper that stands in a container's root and fetches and puts files: ``python -I -X utf8 -m …visitor``.

    client (threads, the host's files)          visitor (one thread, the container's files)
      │ enter(place) ─────────────────────────►   │ joins, or mounts; see `inside`
      │ ◄─ done ───────────────────────────────   │
      │ stat(path) ───────────────────────────►   │
      │ ◄─ done(stat) ─────────────────────────   │
      │ get(path, name) + a descriptor ───────►   │ writes an archive to it
      │ ◄─ done, or failed(error) ─────────────   │
      │ changeset + two descriptors ──────────►   │ reads changes, writes them as a layer
      │ ◄─ done, or failed(error) ─────────────   │
      │ put(path, rules) + a descriptor ──────►   │ unpacks what it reads from it
      │ ◄─ done(notes), or failed(error) ──────   │

The channel is its stdin; it ends when the client has hung up. `diff` is asked instead of `enter`: then it stays in
the host's root, as the owner of the container's files, and writes ``A/path``, ``C/path`` … with a NUL after each.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import stat
import tarfile
from pathlib import Path
from typing import Any

from labcontainer.errors import UsageError
from labcontainer.kernel import proc, trace
from labcontainer.kernel.trace import Role
from labcontainer.runtime import changeset, channel, diff, fault, inside, lookup
from labcontainer.runtime.channel import Message
from labcontainer.runtime.diff import Kind
from labcontainer.runtime.extract import IN_ROOT, Rules, Target, extract
from labcontainer.runtime.inside import Place
from labcontainer.runtime.pack import Packer


class Visitor:
    """One helper's state: the root in which it stands, once it has entered."""

    def __init__(self) -> None:
        self._root = -1
        self._lock = -1
        self._descriptors = proc.own_descriptors()

    def answer(self, message: Message) -> dict[str, Any]:
        """Do what `message` asks, and return the answer's fields. Raises: LabError, OSError."""
        asked = message.body
        match message.kind:
            case "enter":
                return self._enter(asked)
            case "diff":
                return self._diff(asked, message.fds[0])
            case "stat":
                return {"stat": lookup.describe(self._root, asked["path"])}
            case "get":
                return self._get(asked["path"], asked["name"], message.fds[0])
            case "changeset":
                return self._changeset(*message.fds)
            case "put":
                return self._put(asked, message.fds[0])
        raise UsageError("message", message.kind, "a visitor does not know it")

    def _enter(self, asked: dict[str, Any]) -> dict[str, Any]:
        _record(asked.get("trace"))
        place = Place.from_json(asked["place"])
        _warm_up()
        self._lock = inside.enter(place)
        inside.load_nothing_more()
        self._root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return {}

    def _diff(self, asked: dict[str, Any], out: int) -> dict[str, Any]:
        _record(asked.get("trace"))
        place = Place.from_json(asked["place"])
        inside.join_user(place)
        changes = diff.find(f"{place.directory}/upper", place.lowerdirs, asked["mountpoints"])
        with open(out, "wb", closefd=False) as file:
            file.writelines(os.fsencode(f"{kind.letter}{path}\0") for path, kind in changes)
        return {}

    def _get(self, path: str, name: str, out: int) -> dict[str, Any]:
        top = lookup.find(self._root, path)
        try:
            with Packer(out, self._descriptors) as packer:
                packer.add(top, name)
                packer.finish()
        finally:
            os.close(top)
        return {}

    def _changeset(self, source: int, out: int) -> dict[str, Any]:
        with open(source, "rb", closefd=False) as file:
            lines = file.read().split(b"\0")[:-1]
        with Packer(out, self._descriptors) as packer:
            changeset.pack(packer, self._root, ((os.fsdecode(line[1:]), Kind.of(chr(line[0]))) for line in lines))
            packer.finish()
        return {}

    def _put(self, asked: dict[str, Any], source: int) -> dict[str, Any]:
        path = asked["path"]
        top = lookup.find(self._root, path, follow=True)
        try:
            _check_writable(top, path)
        finally:
            os.close(top)
        owner = asked["owner"]
        rules = Rules(owner=(owner[0], owner[1]) if owner else None, replace=asked["replace"])
        with open(source, "rb", buffering=0, closefd=False) as archive:
            return {"notes": extract(archive, Target(self._root, path, IN_ROOT), rules, self._descriptors)}


def main() -> None:
    """Answer a client on stdin until it hangs up."""
    os.umask(0)
    visitor = Visitor()
    # A client that is gone needs no answer; a traceback would show lines of the container's files as ours.
    with socket.socket(fileno=0) as connection, contextlib.suppress(ConnectionError):
        while (message := channel.receive(connection)) is not None:
            try:
                answer = visitor.answer(message)
            except Exception as error:  # noqa: BLE001  whatever it is, the client must hear of it in words
                channel.send(connection, "failed", error=fault.to_json(error))
            else:
                channel.send(connection, "done", **answer)
            finally:
                for fd in message.fds:
                    os.close(fd)


def _check_writable(top: int, path: str) -> None:
    status = os.fstat(top)
    if not stat.S_ISDIR(status.st_mode):
        raise UsageError("path", path, "extraction point is not a directory")
    if os.fstatvfs(top).f_flag & os.ST_RDONLY:
        what = "container rootfs" if os.stat("/").st_dev == status.st_dev else "mounted volume"
        raise UsageError("path", path, f"{what} is marked read-only")


def _record(path: str | None) -> None:
    if path:
        trace.to_file(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
        trace.become(Role.CHILD)


def _warm_up() -> None:
    """Pack and unpack once before there is another root: what Python loads on first use must be the host's."""
    member = tarfile.TarInfo("ä\udcff")
    member.pax_headers = {"SCHILY.xattr.user.x": "\udcff"}
    archive = io.BytesIO(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") + bytes(1024))
    with tarfile.open(fileobj=archive, mode="r|", encoding="utf-8", errors="surrogateescape") as opened:
        opened.next()
    fault.to_json(UsageError("path", Path("/"), "only to have it said"))


if __name__ == "__main__":
    main()
