"""Applying a layer to a directory, whatever the layer says.

An archive is hostile until proven otherwise. No path of it is ever resolved as a string: an entry's parent directory is
opened by openat2(2), for which the target directory is "/", and everything is made relative to that descriptor. What
exists under the entry's name is removed first, so nothing is ever written through a link.

The result is in the overlay's own form (lesson 04):

    .wh.name       a character device 0:0 called name
    .wh..wh..opq   trusted.overlay.opaque=y on the directory; user.overlay.opaque for an ordinary user

For an ordinary user all files become the user's own, device nodes are left out, and directories stay writable for
their owner.

Left out: file capabilities of an ordinary user, limits on how large or deep an archive may be.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from labcontainer.errors import KernelError, SpecError, UnsafeLayer
from labcontainer.image import compression
from labcontainer.kernel import overlay, tree
from labcontainer.kernel.openat2 import Resolve, openat2
from labcontainer.oci.digest import Digest

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_AUFS = ".wh..wh."  # aufs kept its own books under such names; old images still carry them
_XATTR = "SCHILY.xattr."
_COPY_BYTES = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# What an archive can provoke by a name or a link; every other errno is the machine's trouble.
_THE_ARCHIVES_FAULT = frozenset(
    {
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.EISDIR,
        errno.EEXIST,
        errno.EINVAL,
        errno.ENOENT,
        errno.EXDEV,
    }
)


def apply(layer: BinaryIO, directory: Path, *, diff_id: Digest | None = None) -> None:
    """Unpack `layer` (a tar, plain or compressed) into the empty `directory`.

    Raises: UnsafeLayer (the entry, and why), SpecError (no tar, or cut short), DigestMismatch (uncompressed it is not
    `diff_id`), KernelError. See: image-spec v1.1.0 layer.md
    """
    content = compression.reader(layer)
    source = _Hashing(content, diff_id)
    root = os.open(directory, _DIRECTORY | os.O_NOFOLLOW)
    try:
        with tarfile.open(fileobj=cast(BinaryIO, source), mode="r|", bufsize=_COPY_BYTES) as archive:
            target = _Target(root, ordinary=os.geteuid() != 0)
            for member in archive:
                target.add(archive, member)
            target.finish()
        source.finish()
    except (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise SpecError(f"not a layer: {error}") from None
    finally:
        os.close(root)
        content.close()


class _Hashing:
    """The uncompressed archive on its way to tarfile, which reads no further than the archive's end mark."""

    def __init__(self, source: BinaryIO, expected: Digest | None) -> None:
        self._source = source
        self._expected = expected
        self._hasher = expected.hasher() if expected else None

    def read(self, size: int) -> bytes:
        try:
            data = self._source.read(size)
        except OSError as error:  # gzip.BadGzipFile has no errno of its own
            raise SpecError(f"not a layer: {error}") from None
        if self._hasher:
            self._hasher.update(data)
        return data

    def finish(self) -> None:
        while self.read(_COPY_BYTES):
            pass
        if self._expected and self._hasher:
            self._expected.check(self._hasher)


@dataclass(slots=True)
class _Target:
    """The directory that is filled. `later` holds what directories get last: writing into them would change it."""

    root: int
    ordinary: bool
    later: dict[tuple[str, ...], tarfile.TarInfo] = field(default_factory=dict)

    def add(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = split(member.name)
        if member.isdir():
            self.later[parts] = member
        if not parts:
            if not member.isdir():
                raise UnsafeLayer(member.name, "the root can be nothing but a directory")
            return
        if any(part.startswith(_WHITEOUT) for part in parts[:-1]):
            raise UnsafeLayer(member.name, "a whiteout is no directory")
        with _blaming(member.name), self._directory(parts[:-1]) as parent:
            self._entry(archive, member, parent, parts[-1])

    def finish(self) -> None:
        # The deepest first: a parent without permission for its owner would bar the way.
        for parts in sorted(self.later, key=len, reverse=True):
            member = self.later[parts]
            with contextlib.suppress(KernelError), self._opened(parts) as fd:  # replaced by something else meanwhile
                self._own(member, fd)

    def _entry(self, archive: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str) -> None:
        if name == _OPAQUE:
            self._make_opaque(parent)
        elif name.startswith(_AUFS):
            return
        elif name.startswith(_WHITEOUT):
            self._whiteout(parent, name.removeprefix(_WHITEOUT), member.name)
        elif member.isdir():
            self._add_directory(parent, name)
        else:
            _clear(parent, name)
            self._make(archive, member, parent, name)

    def _make(self, archive: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str) -> None:
        if member.islnk():
            self._link(member, parent, name)
        elif member.issym():
            os.symlink(member.linkname, name, dir_fd=parent)
            self._own_by_name(member, parent, name)
        elif member.isreg():
            fd = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
            with open(fd, "wb") as file:
                data = archive.extractfile(member)
                if data is not None:
                    shutil.copyfileobj(data, file, _COPY_BYTES)
                file.flush()
                self._own(member, fd)
        elif member.isfifo() or member.ischr() or member.isblk():
            self._special(member, parent, name)
        else:
            raise UnsafeLayer(member.name, f"its type {member.type!r} is unknown")

    def _link(self, member: tarfile.TarInfo, parent: int, name: str) -> None:
        try:
            target = split(member.linkname)
        except UnsafeLayer:
            target = ()
        if not target:
            raise UnsafeLayer(member.name, f"a hard link to {member.linkname!r}, which is no entry of a layer")
        with self._opened(target[:-1]) as directory:
            status = os.stat(target[-1], dir_fd=directory, follow_symlinks=False)
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
                raise UnsafeLayer(member.name, f"a hard link to {member.linkname!r}, which is not a file")
            os.link(target[-1], name, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False)

    def _special(self, member: tarfile.TarInfo, parent: int, name: str) -> None:
        device = os.makedev(member.devmajor, member.devminor) if not member.isfifo() else 0
        if member.ischr() and device == 0:
            raise UnsafeLayer(member.name, "a character device 0:0 is the overlay's own mark")
        if self.ordinary and not member.isfifo():
            return
        kind = stat.S_IFIFO if member.isfifo() else stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        os.mknod(name, kind | 0o600, device, dir_fd=parent)
        self._own_by_name(member, parent, name)

    def _add_directory(self, parent: int, name: str) -> None:
        status = _status(parent, name)
        if status is not None and stat.S_ISDIR(status.st_mode):
            return
        _clear(parent, name)
        os.mkdir(name, dir_fd=parent)
        os.chmod(name, 0o755, dir_fd=parent)  # whatever the umask is; `finish` sets what the layer says
        if status is not None and overlay.is_whiteout(status):
            self._hide_below(parent, name)

    def _whiteout(self, parent: int, name: str, entry: str) -> None:
        if name in ("", ".", ".."):
            raise UnsafeLayer(entry, "a whiteout that names nothing")
        # A whiteout speaks of the layers below: what this layer itself has under the name stays.
        status = _status(parent, name)
        if status is None:
            os.mknod(name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=parent)
        elif stat.S_ISDIR(status.st_mode):
            self._hide_below(parent, name)

    def _hide_below(self, parent: int, name: str) -> None:
        fd = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        try:
            self._make_opaque(fd)
        finally:
            os.close(fd)

    def _make_opaque(self, fd: int) -> None:
        os.setxattr(fd, f"{'user' if self.ordinary else 'trusted'}.overlay.opaque", b"y")

    def _own(self, member: tarfile.TarInfo, fd: int) -> None:
        """Owner, mode, extended attributes and time of what is open as `fd`; chown first, as it clears set-user-ID."""
        mode = stat.S_IMODE(member.mode)
        if not self.ordinary:
            os.fchown(fd, member.uid, member.gid)
        elif member.isdir():
            mode |= 0o700
        os.fchmod(fd, mode)
        for key, text in member.pax_headers.items():
            if key.startswith(_XATTR):
                self._set_xattr(fd, key.removeprefix(_XATTR), text.encode(errors="surrogateescape"))
        os.utime(fd, (_time(member), _time(member)))

    def _set_xattr(self, fd: int, name: str, value: bytes) -> None:
        # Marks of the overlay would let a layer redirect names to other directories: they come from whiteouts alone.
        if name.startswith("user.") and not name.startswith("user.overlay."):
            with contextlib.suppress(OSError):  # a file system without extended attributes
                os.setxattr(fd, name, value)
        elif name == "security.capability" and not self.ordinary:
            os.setxattr(fd, name, value)

    def _own_by_name(self, member: tarfile.TarInfo, parent: int, name: str) -> None:
        if not self.ordinary:
            os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
        if not member.issym():
            os.chmod(name, stat.S_IMODE(member.mode), dir_fd=parent)  # made by mknod just now: it is no link
        os.utime(name, (_time(member), _time(member)), dir_fd=parent, follow_symlinks=False)

    @contextlib.contextmanager
    def _directory(self, parts: tuple[str, ...]) -> Iterator[int]:
        """The directory `parts` as a descriptor; what is missing of it is made."""
        try:
            fd = self._open(parts)
        except KernelError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) or not parts:
                raise
            with self._directory(parts[:-1]) as parent:
                status = _status(parent, parts[-1])
                if status is not None and not overlay.is_whiteout(status):
                    raise  # a file, or a link that leads nowhere
                self._add_directory(parent, parts[-1])
            fd = self._open(parts)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _opened(self, parts: tuple[str, ...]) -> Iterator[int]:
        fd = self._open(parts)
        try:
            yield fd
        finally:
            os.close(fd)

    def _open(self, parts: tuple[str, ...]) -> int:
        return openat2(self.root, "/".join(parts) or ".", _DIRECTORY, Resolve.RESOLVE_IN_ROOT)


def split(name: str) -> tuple[str, ...]:
    """An entry's name as its parts; ``()`` is the root itself.

    Raises: UnsafeLayer. See: image-spec v1.1.0 layer.md#file-types
    """
    if name.startswith("/"):
        raise UnsafeLayer(name, "its name is absolute")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise UnsafeLayer(name, "its name leads upwards")
    if "\0" in name:
        raise UnsafeLayer(name, "its name has a NUL character in it")
    return parts


@contextlib.contextmanager
def _blaming(entry: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _THE_ARCHIVES_FAULT:
            raise UnsafeLayer(entry, os.strerror(error.errno or 0).lower()) from None
        raise KernelError(error.errno or 0, f"unpack({entry!r})") from None


def _status(parent: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _clear(parent: int, name: str) -> None:
    status = _status(parent, name)
    if status is None:
        return
    if stat.S_ISDIR(status.st_mode):
        tree.remove(parent, name)
    else:
        os.unlink(name, dir_fd=parent)


def _time(member: tarfile.TarInfo) -> float:
    # An archive may name a year that no file system knows.
    return min(max(float(member.mtime), 0.0), float(1 << 33))
