"""``docker cp``, both ways. The rules of names are in `copy_rules`, the container's side in `files`.

What comes out of a container has been made by somebody else, and becomes files of ours. So unlike docker we leave out
what would give it power here: device nodes, set-user-ID and set-group-ID bits, file capabilities. ``lab export``, and
``lab cp … -``, hand over everything, as an archive.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import BinaryIO, cast

from labcontainer.engine import copy_rules, files
from labcontainer.engine.copy_rules import End
from labcontainer.errors import LabError, NotFound, UsageError
from labcontainer.kernel import proc
from labcontainer.runtime import lookup
from labcontainer.runtime.extract import Rules, Target, extract
from labcontainer.runtime.pack import Packer
from labcontainer.runtime.visit import Visit

_MOST_LINKS = 10


@dataclass(frozen=True, slots=True)
class Copied:
    """How much went over (bytes of the archive), where to, and what could not be made as it was."""

    size_bytes: int
    destination: str
    notes: tuple[str, ...]


def copy_from(
    visit: Visit, source: str, destination: str, *, follow_link: bool = False, archive: bool = False
) -> Copied:
    """Copy `source` of the container to `destination` on the host. With `archive` root keeps the owners' numbers.

    Raises: NotFound, UsageError, UnsafeArchive, KernelError.
    """
    target = copy_rules.absolute(destination, os.getcwd())
    _check_output(target)
    path, rename = copy_rules.absolute(files.given(source)), ""
    if follow_link:
        path, rename = _followed(visit, path)
    found = visit.ask("stat", path=path)["stat"]
    from_end = End(path, exists=True, directory=bool(found["mode"] & lookup.GO_DIRECTORY), rename=rename)
    directory, name = copy_rules.placed(from_end, _host_end(target))
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    descriptors = proc.own_descriptors()
    stream = _Counted(files.Archive(visit, "get", path=path, name=name))
    try:
        rules = Rules(owners=archive and os.geteuid() == 0, powers=False, replace=False)
        notes = extract(cast(BinaryIO, stream), Target(fd), rules, descriptors)
    finally:
        os.close(descriptors)
        os.close(fd)
        stream.close()
    return Copied(stream.size_bytes, target, tuple(notes))


def copy_to(
    visit: Visit, source: str, destination: str, *, follow_link: bool = False, owner: tuple[int, int] | None = None
) -> Copied:
    """Copy `source` of the host to `destination` in the container. With `owner` (uid, gid) all belongs to that user.

    Raises: NotFound, UsageError, UnsafeArchive, KernelError.
    """
    to_end = container_end(visit, destination)
    from_end = _host_source(copy_rules.absolute(source, os.getcwd()), follow_link=follow_link)
    directory, name = copy_rules.placed(from_end, to_end)
    top = os.open(from_end.path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    descriptors = proc.own_descriptors()
    size = 0

    def write(out: int) -> None:
        nonlocal size
        with Packer(out, descriptors) as packer:
            packer.add(top, name)
            packer.finish()
            size = packer.size_bytes

    try:
        notes = files.feed(visit, directory, write, owner=owner, replace=False)
    finally:
        os.close(descriptors)
        os.close(top)
    return Copied(size, destination, tuple(notes))


def unpack(visit: Visit, archive: BinaryIO, destination: str, *, owner: tuple[int, int] | None = None) -> Copied:
    """Unpack a tar into the directory `destination` of the container. Raises: as `copy_to`."""
    end = container_end(visit, destination)
    if not end.directory:
        raise UsageError("destination", destination, "must be a directory")
    notes = files.put_archive(visit, end.path, archive, owner=owner, replace=False)
    return Copied(0, destination, tuple(notes))


def container_end(visit: Visit, path: str) -> End:
    """What `path` in the container is as a destination; a link is taken for what it leads to. Raises: UsageError."""
    full = copy_rules.absolute(files.given(path))
    try:
        found = visit.ask("stat", path=full)["stat"]
        if found["mode"] & lookup.GO_LINK:
            full = found["linkTarget"]
            found = visit.ask("stat", path=full)["stat"]
    except (NotFound, UsageError):
        return End(full)  # it may yet be made; if its directory is missing, unpacking says so
    if found["mode"] & lookup.GO_DEVICE:
        raise UsageError("destination", path, "must be a directory or a regular file: it is a device")
    return End(full, exists=True, directory=bool(found["mode"] & lookup.GO_DIRECTORY))


def _followed(visit: Visit, path: str) -> tuple[str, str]:
    try:
        found = visit.ask("stat", path=path)["stat"]
    except LabError:
        return path, ""  # the copy itself will say what is wrong
    if not found["mode"] & lookup.GO_LINK:
        return path, ""
    return copy_rules.renamed(path, found["linkTarget"])


def _host_source(path: str, *, follow_link: bool) -> End:
    try:
        if follow_link:
            resolved, rename = copy_rules.renamed(path, os.path.realpath(path, strict=True))
        else:
            # The directory's links are followed, the name's own link is not, unless a slash follows it.
            directory, name = os.path.split(path)
            resolved = os.path.join(os.path.realpath(directory or "/", strict=True), name)
            differ = copy_rules.base(path) != copy_rules.base(resolved)
            rename = copy_rules.base(path) if path.endswith("/") and differ else ""
        status = os.lstat(resolved)
    except FileNotFoundError:
        raise NotFound("file", path) from None
    except NotADirectoryError:
        raise UsageError("source", path, "not a directory") from None
    return End(resolved, exists=True, directory=stat.S_ISDIR(status.st_mode), rename=rename)


def _host_end(path: str) -> End:
    here = path
    try:
        for _ in range(_MOST_LINKS):
            status = os.lstat(here)
            if not stat.S_ISLNK(status.st_mode):
                return End(here, exists=True, directory=stat.S_ISDIR(status.st_mode))
            here = os.path.join(copy_rules.split(here)[0], os.readlink(here))
        raise UsageError("destination", path, "its links lead round in a circle")
    except FileNotFoundError:
        if not os.path.isdir(copy_rules.split(here)[0]):
            raise NotFound("directory", copy_rules.split(here)[0]) from None
        return End(here)
    except NotADirectoryError:
        raise UsageError("destination", path, "not a directory") from None


def _check_output(path: str) -> None:
    directory = os.path.dirname(copy_rules.clean(path))
    if not os.path.isdir(directory):
        raise NotFound("directory", directory)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise UsageError("destination", path, "not a directory") from None
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise UsageError("destination", path, "must be a directory or a regular file: it is a device")


class _Counted:
    """An archive's chunks as a file that can be read, and how much has been."""

    def __init__(self, chunks: files.Archive) -> None:
        self._chunks = chunks
        self._left = b""
        self.size_bytes = 0

    def read(self, size: int) -> bytes:
        if not self._left:
            self._left = next(self._chunks, b"")
            self.size_bytes += len(self._left)
        data, self._left = self._left[:size], self._left[size:]
        return data

    def close(self) -> None:
        self._chunks.close()
