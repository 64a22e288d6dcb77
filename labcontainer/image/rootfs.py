"""The directory that a layer is unpacked into: every entry ends up inside, or is refused.

No path of an archive is ever resolved as a string: an entry's parent directory is opened by openat2(2), for which the
target directory is "/", and everything is made relative to that descriptor, under a name that did not exist. So nothing
is ever written through a link. The result is in the overlay's own form (lesson 04):

    .wh.name       a character device 0:0 called name
    .wh..wh..opq   trusted.overlay.opaque=y on the directory; user.overlay.opaque for an ordinary user

An entry that comes twice counts the second time, as with docker and umoci. For an ordinary user all files become the
user's own, device nodes are left out, and directories stay writable for their owner.

Left out: file capabilities of an ordinary user.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from labcontainer.errors import KernelError, UnsafeLayer
from labcontainer.image import tar
from labcontainer.image.tar import Entry
from labcontainer.kernel import overlay, tree
from labcontainer.kernel.openat2 import Resolve, openat2

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_AUFS = ".wh..wh."  # aufs kept its own books under such names; old images still carry them
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Directories held open: an archive goes through a tree in order, and comes back to a parent soon or never.
_MOST_OPEN = 64
_LATEST_NS = (1 << 33) * 10**9

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


class Rootfs:
    """The directory that is filled."""

    def __init__(self, directory: Path, *, ordinary: bool) -> None:
        self._ordinary = ordinary
        self._root = os.open(directory, _DIRECTORY | os.O_NOFOLLOW)
        self._open: dict[str, int] = {}
        # What directories get last: writing into them would change their time, and a mode may bar the way.
        self._later: dict[tuple[str, ...], Entry] = {}

    def __enter__(self) -> Rootfs:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._forget()
        os.close(self._root)

    def add(self, entry: Entry, content: Iterable[bytes] = ()) -> None:
        """Make what `entry` says. Raises: UnsafeLayer, KernelError."""
        above, _, name = entry.name.rstrip("/").rpartition("/")
        parent = self._open.get(above)
        try:
            if parent is not None and not entry.is_directory and name not in ("", ".", "..") and "\0" not in name:
                self._entry(entry, parent, name, content)
            else:
                self._add_by_parts(entry, content)
        except OSError as error:
            if error.errno in _THE_ARCHIVES_FAULT:
                raise UnsafeLayer(entry.name, os.strerror(error.errno or 0).lower()) from None
            if isinstance(error, KernelError):
                raise
            raise KernelError(error.errno or 0, f"unpack({entry.name!r})") from None

    def finish(self) -> None:
        """Give the directories their owners, modes and times. Raises: KernelError."""
        # The deepest first: a parent without permission for its owner would bar the way.
        for parts in sorted(self._later, key=len, reverse=True):
            with contextlib.suppress(KernelError):  # replaced by something else meanwhile
                fd = self._resolve(parts)
                try:
                    self._own(self._later[parts], fd)
                finally:
                    os.close(fd)

    def _add_by_parts(self, entry: Entry, content: Iterable[bytes]) -> None:
        parts = split(entry.name)
        if entry.is_directory:
            self._later[parts] = entry
        if not parts:
            if not entry.is_directory:
                raise UnsafeLayer(entry.name, "the root can be nothing but a directory")
            return
        if any(part.startswith(_WHITEOUT) for part in parts[:-1]):
            raise UnsafeLayer(entry.name, "a whiteout is no directory")
        self._entry(entry, self._parent(parts[:-1]), parts[-1], content)

    def _entry(self, entry: Entry, parent: int, name: str, content: Iterable[bytes]) -> None:
        if name.startswith(_WHITEOUT):
            if name == _OPAQUE:
                self._make_opaque(parent)
            elif not name.startswith(_AUFS):
                self._whiteout(parent, name.removeprefix(_WHITEOUT), entry.name)
        elif entry.is_directory:
            self._add_directory(parent, name)
        else:
            try:
                self._make(entry, parent, name, content)
            except FileExistsError:
                self._clear(parent, name)
                self._make(entry, parent, name, content)

    def _make(self, entry: Entry, parent: int, name: str, content: Iterable[bytes]) -> None:
        if entry.is_file:
            self._file(entry, os.open(name, _NEW_FILE, 0o600, dir_fd=parent), content)
        elif entry.type == tar.SYMLINK:
            os.symlink(entry.link, name, dir_fd=parent)
            self._own_by_name(entry, parent, name)
        elif entry.type == tar.HARD_LINK:
            self._link(entry, parent, name)
        elif entry.type in (tar.FIFO, tar.CHARACTER, tar.BLOCK_DEVICE):
            self._special(entry, parent, name)
        else:
            raise UnsafeLayer(entry.name, f"its type {entry.type!r} is unknown")

    def _file(self, entry: Entry, fd: int, content: Iterable[bytes]) -> None:
        try:
            if entry.pieces is None:
                for data in content:
                    _write(fd, data)
            else:
                _write_pieces(fd, entry.pieces, content)
                os.ftruncate(fd, entry.size)
            self._own(entry, fd)
        finally:
            os.close(fd)

    def _link(self, entry: Entry, parent: int, name: str) -> None:
        try:
            target = split(entry.link)
        except UnsafeLayer:
            target = ()
        if not target:
            raise UnsafeLayer(entry.name, f"a hard link to {entry.link!r}, which is no entry of a layer")
        directory = self._resolve(target[:-1])
        try:
            status = os.stat(target[-1], dir_fd=directory, follow_symlinks=False)
            if overlay.is_whiteout(status) or stat.S_ISDIR(status.st_mode):
                raise UnsafeLayer(entry.name, f"a hard link to {entry.link!r}, which is not a file")
            same = _status(parent, name)
            if same is None or not os.path.samestat(same, status):
                os.link(target[-1], name, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(directory)

    def _special(self, entry: Entry, parent: int, name: str) -> None:
        device = os.makedev(entry.major, entry.minor) if entry.type != tar.FIFO else 0
        if entry.type == tar.CHARACTER and device == 0:
            raise UnsafeLayer(entry.name, "a character device 0:0 is the overlay's own mark")
        if self._ordinary and entry.type != tar.FIFO:
            self._clear(parent, name)
            return
        kind = {tar.FIFO: stat.S_IFIFO, tar.CHARACTER: stat.S_IFCHR, tar.BLOCK_DEVICE: stat.S_IFBLK}[entry.type]
        os.mknod(name, kind | 0o600, device, dir_fd=parent)
        self._own_by_name(entry, parent, name)

    def _add_directory(self, parent: int, name: str) -> None:
        try:
            os.mkdir(name, dir_fd=parent)
        except FileExistsError:
            status = _status(parent, name)
            if status is not None and stat.S_ISDIR(status.st_mode):
                return
            self._clear(parent, name)
            os.mkdir(name, dir_fd=parent)
            if status is not None and overlay.is_whiteout(status):
                self._hide_below(parent, name)
        os.chmod(name, 0o755, dir_fd=parent)  # whatever the umask is; `finish` sets what the layer says

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
        os.setxattr(fd, f"{'user' if self._ordinary else 'trusted'}.overlay.opaque", b"y")

    def _own(self, entry: Entry, fd: int) -> None:
        """Owner, mode, extended attributes and time of what is open as `fd`; chown first, as it clears set-user-ID."""
        mode = entry.mode
        if not self._ordinary:
            os.fchown(fd, entry.uid, entry.gid)
        elif entry.is_directory:
            mode |= 0o700
        os.fchmod(fd, mode)
        for name, value in entry.xattrs.items():
            self._set_xattr(fd, name, value)
        os.utime(fd, ns=_times(entry))

    def _set_xattr(self, fd: int, name: str, value: bytes) -> None:
        # Marks of the overlay would let a layer redirect names to other directories: they come from whiteouts alone.
        if name.startswith("user.") and not name.startswith("user.overlay."):
            with contextlib.suppress(OSError):  # a file system without extended attributes
                os.setxattr(fd, name, value)
        elif name == "security.capability" and not self._ordinary:
            os.setxattr(fd, name, value)

    def _own_by_name(self, entry: Entry, parent: int, name: str) -> None:
        if not self._ordinary:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        if entry.type != tar.SYMLINK:
            os.chmod(name, entry.mode, dir_fd=parent)  # made by mknod just now: it is no link
        os.utime(name, ns=_times(entry), dir_fd=parent, follow_symlinks=False)

    def _clear(self, parent: int, name: str) -> None:
        # A directory that is open here may go with it, or a link that led to one.
        self._forget(keep=parent)
        status = _status(parent, name)
        if status is not None and stat.S_ISDIR(status.st_mode):
            tree.remove(parent, name)
        elif status is not None:
            os.unlink(name, dir_fd=parent)

    def _parent(self, parts: tuple[str, ...]) -> int:
        """The directory `parts` as a descriptor that stays open; what is missing of it is made."""
        path = "/".join(parts)
        if path in self._open:
            return self._open[path]
        try:
            fd = self._resolve(parts)
        except KernelError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) or not parts:
                raise
            above = self._parent(parts[:-1])
            status = _status(above, parts[-1])
            if status is not None and not overlay.is_whiteout(status):
                raise  # a file, or a link that leads nowhere
            self._add_directory(above, parts[-1])
            fd = self._resolve(parts)
        if len(self._open) >= _MOST_OPEN:
            os.close(self._open.pop(next(iter(self._open))))
        self._open[path] = fd
        return fd

    def _forget(self, keep: int = -1) -> None:
        for path, fd in list(self._open.items()):
            if fd != keep:
                os.close(self._open.pop(path))

    def _resolve(self, parts: tuple[str, ...]) -> int:
        return openat2(self._root, "/".join(parts) or ".", _DIRECTORY, Resolve.RESOLVE_IN_ROOT)


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


def _status(parent: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _write(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


def _write_pieces(fd: int, pieces: Iterable[tuple[int, int]], content: Iterable[bytes]) -> None:
    """Put a sparse file's stored content where it belongs; what is between the pieces stays a hole."""
    chunks = _Chunks(iter(content))
    for offset, length in pieces:
        os.lseek(fd, offset, os.SEEK_SET)
        for data in chunks.take(length):
            _write(fd, data)


class _Chunks:
    """Content that comes in chunks of any size, to be taken in pieces of other sizes."""

    def __init__(self, content: Iterator[bytes]) -> None:
        self._content = content
        self._data = b""

    def take(self, length: int) -> Iterator[bytes]:
        while length:
            if not self._data:
                self._data = next(self._content)
            data, self._data = self._data[:length], self._data[length:]
            length -= len(data)
            yield data


def _times(entry: Entry) -> tuple[int, int]:
    # An archive may name a year that no file system knows.
    time = min(max(entry.mtime_ns, 0), _LATEST_NS)
    return time, time
