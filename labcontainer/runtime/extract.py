"""A tar archive becomes files below a directory: in a container's root, or on the host.

An archive is hostile until proven otherwise, and so is who else can write where it goes. No path is taken apart as a
string: an entry's parent is opened by openat2(2) and the entry made relative to it; a file is new (O_EXCL), never one
that was there; owner, mode, time and attributes are set through the descriptor of what was just made.

    into a container   links on the way are followed as a process inside would follow them; everything is made
    onto the host      no link below the destination is followed; no device, no set-user-ID bit, no file capability

Left out: ACLs, and the limits that a disk quota would set.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, BinaryIO, cast

from labcontainer.errors import KernelError, SpecError, UnsafeArchive
from labcontainer.kernel import tree
from labcontainer.kernel.openat2 import Resolve, openat2

IN_ROOT = Resolve.RESOLVE_IN_ROOT | Resolve.RESOLVE_NO_MAGICLINKS
BENEATH = Resolve.RESOLVE_BENEATH | Resolve.RESOLVE_NO_SYMLINKS

_XATTR = "SCHILY.xattr."
_COPY_BYTES = 1 << 20
_END = 2 * tarfile.BLOCKSIZE
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_SET_ID = stat.S_ISUID | stat.S_ISGID
_SPECIAL = {tarfile.FIFOTYPE: stat.S_IFIFO, tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK}
_MOST_NOTES = 20
# Of a name in a message: an archive may have one as long as it likes.
_MOST_CHARACTERS = 300
# Latest and earliest time that every file system knows, in nanoseconds since 1970.
_TIMES_NS = (0, (1 << 33) * 10**9)

Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """What an archive may do at its destination.

    `owner` gets everything; without one, whom the archive names, and without `owners` whoever unpacks. `powers`: device
    nodes, set-user-ID and set-group-ID bits and file capabilities are made, not left out. `replace`: a file may take
    the place of a directory, with all that is in it, and a directory that of a file.
    """

    owner: tuple[int, int] | None = None
    owners: bool = True
    powers: bool = True
    replace: bool = True


@dataclass(slots=True)
class Target:
    """The directory `base` as seen from the descriptor `fd`, with how paths to it and below it are resolved."""

    fd: int
    base: str = "."
    resolve: Resolve = BENEATH

    def directory(self, parts: Parts) -> int:
        """A descriptor (O_PATH) of a directory below. Raises: KernelError."""
        return openat2(self.fd, "/".join((self.base, *parts)), _DIRECTORY, self.resolve)


def extract(archive: BinaryIO, target: Target, rules: Rules, descriptors: int) -> list[str]:
    """Unpack `archive`, an uncompressed tar; returns what could not be made as it says, in sentences (20 at most).

    `descriptors` is `proc.own_descriptors`, of a time when /proc was the host's.

    Raises: UnsafeArchive (the entry, and why), SpecError (no tar, or cut short), KernelError (disk full, read-only …).
    """
    extraction = _Extraction(target, rules, descriptors)
    source = _Whole(archive)
    try:
        with tarfile.open(
            fileobj=cast(BinaryIO, source), mode="r|", bufsize=_COPY_BYTES, encoding="utf-8", errors="surrogateescape"
        ) as opened:
            while (member := opened.next()) is not None:
                with _blaming(member.name):
                    extraction.add(opened, member)
                # Else memory would grow with the number of entries.
                opened.members.clear()  # type: ignore[attr-defined]
        extraction.finish()
        source.finish()
    except tarfile.ReadError as error:
        if str(error) != "empty file":
            raise SpecError(f"not a tar archive: {error}") from None
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise SpecError(f"not a tar archive: {error}") from None
    finally:
        extraction.close()
    return extraction.notes


class _Whole:
    """The archive on its way to tarfile, which takes one that was cut off between two entries for complete."""

    def __init__(self, archive: BinaryIO) -> None:
        self._archive = archive
        self._tail = b""

    def read(self, size: int) -> bytes:
        data = self._archive.read(size)
        if data:
            self._tail = (self._tail + data[-_END:])[-_END:]
        return data

    def finish(self) -> None:
        """Read what is left: who writes the archive must not be cut off in its padding."""
        while self.read(_COPY_BYTES):
            pass
        if self._tail.strip(b"\0"):
            raise EOFError("it is cut short: the two empty blocks at its end are missing")


@dataclass(slots=True)
class _Extraction:
    """`later` holds what directories get last: writing into them changes their time, and may need their permission."""

    target: Target
    rules: Rules
    descriptors: int
    later: dict[Parts, tarfile.TarInfo] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _parent: tuple[Parts, int] | None = None

    def close(self) -> None:
        if self._parent is not None:
            os.close(self._parent[1])

    def add(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = split(member.name)
        if not parts:
            if not member.isdir():
                raise UnsafeArchive(member.name, "it would replace the destination itself")
            return  # the destination stays as it is, as with docker
        parent, name = self._open_parent(parts[:-1]), parts[-1]
        self._make_way(member, parent, name)
        if member.isdir():
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=parent)
            self.later[parts] = member
        elif member.islnk():
            self._link(member, parent, name)
        elif member.issym():
            os.symlink(member.linkname, name, dir_fd=parent)
            self._own_made(member, parent, name)
        elif member.isreg():
            self._file(archive, member, parent, name)
        elif member.type in _SPECIAL:
            self._special(member, parent, name)
        else:
            raise UnsafeArchive(member.name, f"its type {member.type!r} is unknown")

    def finish(self) -> None:
        # The deepest first: a parent without permission for its owner would bar the way.
        for parts in sorted(self.later, key=len, reverse=True):
            member = self.later[parts]
            with _blaming(member.name), contextlib.suppress(FileNotFoundError):
                self._own_made(member, self._open_parent(parts[:-1]), parts[-1])

    def _open_parent(self, parts: Parts) -> int:
        if self._parent is not None:
            if self._parent[0] == parts:
                return self._parent[1]
            os.close(self._parent[1])
            self._parent = None
        self._parent = (parts, self._directory(parts))
        return self._parent[1]

    def _directory(self, parts: Parts) -> int:
        try:
            return self.target.directory(parts)
        except KernelError as error:
            if error.errno != errno.ENOENT or not parts:
                raise
        above = self._directory(parts[:-1])
        try:
            os.mkdir(parts[-1], 0o755, dir_fd=above)
            fd = os.open(parts[-1], _DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
        finally:
            os.close(above)
        if self.rules.owner:
            self._chown(fd, *self.rules.owner, "/".join(parts))
        return fd

    def _make_way(self, member: tarfile.TarInfo, parent: int, name: str) -> None:
        try:
            directory = stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return
        if directory and member.isdir():
            return
        if directory != member.isdir() and not self.rules.replace:
            kinds = ("directory", "non-directory") if directory else ("non-directory", "directory")
            raise UnsafeArchive(member.name, f"cannot overwrite {kinds[0]} with {kinds[1]}")
        if directory:
            tree.remove(parent, name)
        else:
            os.unlink(name, dir_fd=parent)

    def _file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str) -> None:
        fd = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
        try:
            # Read here, and not through extractfile(), which would hand out the zeros of every hole.
            data = cast(IO[bytes], archive.fileobj)
            data.seek(member.offset_data)
            for offset, length in _pieces(member):
                os.lseek(fd, offset, os.SEEK_SET)
                _copy(data, fd, length)
            os.ftruncate(fd, member.size)
            self._own(member, fd)
        finally:
            os.close(fd)

    def _link(self, member: tarfile.TarInfo, parent: int, name: str) -> None:
        target = split(member.linkname)
        if not target:
            raise UnsafeArchive(member.name, "a hard link to the destination itself")
        above = self.target.directory(target[:-1])
        try:
            os.link(target[-1], name, src_dir_fd=above, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(above)

    def _special(self, member: tarfile.TarInfo, parent: int, name: str) -> None:
        device = 0 if member.isfifo() else os.makedev(member.devmajor, member.devminor)
        if not member.isfifo() and not self.rules.powers:
            self._note(member.name, "a device node, left out")
            return
        try:
            os.mknod(name, _SPECIAL[member.type] | 0o600, device, dir_fd=parent)
        except PermissionError:
            if member.isfifo():
                raise
            self._note(member.name, "a device node, which a user namespace may not make; left out")
            return
        self._own_made(member, parent, name)

    def _own_made(self, member: tarfile.TarInfo, parent: int, name: str) -> None:
        """`_own` for what was made by name: what has that name now is opened, and not followed if it is a link."""
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            if member.isdir() != stat.S_ISDIR(os.fstat(fd).st_mode):
                return  # somebody has replaced it meanwhile
            self._own(member, fd)
        finally:
            os.close(fd)

    def _own(self, member: tarfile.TarInfo, fd: int) -> None:
        """Owner, attributes, mode and time of `fd`; chown first, as it clears set-user-ID and capabilities."""
        if self.rules.owner or self.rules.owners:
            self._chown(fd, *(self.rules.owner or (member.uid, member.gid)), member.name)
        mode = stat.S_IMODE(member.mode)
        if not self.rules.powers and not member.isdir():
            mode &= ~_SET_ID
        path = str(fd)
        if not member.issym():
            self._set_attributes(member, fd)
            os.chmod(path, mode, dir_fd=self.descriptors)
        time = _time_ns(member)
        os.utime(path, ns=(time, time), dir_fd=self.descriptors)

    def _chown(self, fd: int, uid: int, gid: int, name: str) -> None:
        try:
            os.chown(str(fd), uid, gid, dir_fd=self.descriptors)
        except OSError as error:
            # EINVAL: the user namespace maps no such id; EPERM: it maps one id only.
            if error.errno not in (errno.EINVAL, errno.EPERM):
                raise
            self._note(name, f"no owner {uid}:{gid} in here; it belongs to root")

    def _set_attributes(self, member: tarfile.TarInfo, fd: int) -> None:
        wanted = {key.removeprefix(_XATTR): text for key, text in member.pax_headers.items() if key.startswith(_XATTR)}
        allowed = {name: text for name, text in wanted.items() if self._may_set(name)}
        if not allowed or member.type in _SPECIAL:
            return
        # An O_PATH descriptor (a directory's) has no attributes: open what it stands for.
        again = os.open(str(fd), os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.descriptors)
        try:
            for name, text in allowed.items():
                try:
                    os.setxattr(again, name, text.encode(errors="surrogateescape"))
                except OSError as error:
                    if error.errno not in (errno.ENOTSUP, errno.EPERM):
                        raise
                    self._note(member.name, f"without its attribute {name}, which is refused here")
        finally:
            os.close(again)

    def _may_set(self, name: str) -> bool:
        if name == "security.capability":
            return self.rules.powers
        return name.startswith("user.") and not name.startswith("user.overlay.")

    def _note(self, name: str, what: str) -> None:
        if len(self.notes) < _MOST_NOTES:
            self.notes.append(f"{name[:_MOST_CHARACTERS]}: {what}")


def split(name: str) -> Parts:
    """An entry's name as its parts, below the destination whether it begins with a slash or not; ``()``: itself.

    Raises: UnsafeArchive.
    """
    parts = tuple(part for part in PurePosixPath(name).parts if part not in ("/", "//"))
    if ".." in parts:
        raise UnsafeArchive(name, "its name leads upwards")
    if "\0" in name:
        raise UnsafeArchive(name, "its name has a NUL character in it")
    return parts


def _pieces(member: tarfile.TarInfo) -> Iterator[tuple[int, int]]:
    sparse = cast(list[tuple[int, int]] | None, getattr(member, "sparse", None))
    for offset, length in sparse or [(0, member.size)]:
        if offset < 0 or length < 0 or offset + length > member.size:
            raise UnsafeArchive(member.name, "its map of holes reaches beyond its end")
        yield offset, length


def _copy(data: IO[bytes], fd: int, length: int) -> None:
    while length:
        piece = data.read(min(length, _COPY_BYTES))
        if not piece:
            raise EOFError("it ends in the middle of a file")
        length -= len(piece)
        while piece:
            piece = piece[os.write(fd, piece) :]


def _time_ns(member: tarfile.TarInfo) -> int:
    # The header's own text: as a float, which tarfile makes of it, it has lost its last digits.
    seconds, _, rest = member.pax_headers.get("mtime", "").partition(".")
    exact = seconds.isdigit() and (rest + "0").isdigit()
    time = int(seconds) * 10**9 + int(rest[:9].ljust(9, "0")) if exact else int(member.mtime) * 10**9
    return min(max(time, _TIMES_NS[0]), _TIMES_NS[1])


@contextlib.contextmanager
def _blaming(entry: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "something else appeared there meanwhile" if error.errno == errno.EEXIST else ""
        if error.errno in (errno.ELOOP, errno.EXDEV):
            raise UnsafeArchive(entry, "a link on its way leads elsewhere") from None
        raise KernelError(error.errno or 0, f"extract({entry[:_MOST_CHARACTERS]!r})", hint) from None
