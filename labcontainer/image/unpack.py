"""Applying a layer to a directory, whatever the layer says.

An archive is hostile until checked. Each entry's parent is opened beneath the root one name at a time, never through a link,
and everything is made relative to that descriptor: no path of the archive is ever resolved as a string.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from labcontainer.errors import SpecError, UnsafeLayer

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_COPY_BYTES = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def apply(archive: BinaryIO, root: Path) -> None:
    """Unpack a layer (tar, plain or gzipped) into the empty directory `root` in the overlay's own form.

    Whiteouts become character devices 0:0, opaque directories get the overlay's mark. Not as root, every file belongs to
    the caller and device nodes are refused.

    Raises: UnsafeLayer (the entry, and why), SpecError (no tar, or cut short). See: image-spec v1.1.0 layer.md
    """
    rootless = os.geteuid() != 0
    top = os.open(root, _DIRECTORY)
    times: list[tuple[str, float]] = []
    try:
        with tarfile.open(fileobj=archive, mode="r|*") as layer:
            for member in layer:
                _one(layer, member, top, rootless)
                if member.isdir():
                    times.append((member.name, member.mtime))
        for name, mtime in reversed(times):  # after its content, or writing that would change it again
            with contextlib.suppress(OSError), _parent(top, _parts(name), name) as (parent, last):
                os.utime(last or ".", (mtime, mtime), dir_fd=parent, follow_symlinks=False)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise SpecError(f"layer: {error}") from None
    finally:
        os.close(top)


def _one(layer: tarfile.TarFile, member: tarfile.TarInfo, top: int, rootless: bool) -> None:
    parts = _parts(member.name)
    if not parts:
        return
    with _parent(top, parts, member.name) as (parent, last):
        if last == _OPAQUE:
            _mark_opaque(parent, rootless)
        elif last.startswith(_WHITEOUT):
            _whiteout(parent, last.removeprefix(_WHITEOUT), member.name)
        else:
            _make(layer, member, top, parent, last, rootless)


def _parts(name: str) -> list[str]:
    if name.startswith("/") or "\0" in name:
        raise UnsafeLayer(name, "its name is absolute")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UnsafeLayer(name, "its name leads upwards")
    return parts


@contextlib.contextmanager
def _parent(top: int, parts: list[str], name: str) -> Iterator[tuple[int, str]]:
    """A descriptor of the directory that holds the entry, made where it is missing, and the entry's last name."""
    fd = os.dup(top)
    try:
        for part in parts[:-1]:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=fd)
            try:
                below = os.open(part, _DIRECTORY, dir_fd=fd)
            except OSError:
                raise UnsafeLayer(name, f"{part!r} on its way is a link or a file, not a directory") from None
            os.close(fd)
            fd = below
        yield fd, parts[-1] if parts else ""
    finally:
        os.close(fd)


def _make(layer: tarfile.TarFile, member: tarfile.TarInfo, top: int, parent: int, name: str, rootless: bool) -> None:
    _clear(parent, name, keep_directory=member.isdir())
    if member.isdir():
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
    elif member.isreg():
        _file(layer, member, parent, name)
    elif member.issym():
        os.symlink(member.linkname, name, dir_fd=parent)
    elif member.islnk():
        _hard_link(member, top, parent, name)
        return
    elif member.isfifo():
        os.mkfifo(name, 0o600, dir_fd=parent)
    elif member.ischr() or member.isblk():
        if rootless:
            raise UnsafeLayer(member.name, "a device node, which only root can make")
        kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        os.mknod(name, kind | 0o600, os.makedev(member.devmajor, member.devminor), dir_fd=parent)
    else:
        raise UnsafeLayer(member.name, f"its type {member.type!r} is unknown")
    _attributes(member, parent, name, rootless)


def _file(layer: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str) -> None:
    source = layer.extractfile(member)
    assert source is not None
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent)
    with open(fd, "wb") as target:
        shutil.copyfileobj(source, target, _COPY_BYTES)


def _hard_link(member: tarfile.TarInfo, top: int, parent: int, name: str) -> None:
    parts = _parts(member.linkname)
    if not parts:
        raise UnsafeLayer(member.name, "a hard link to the root")
    with _parent(top, parts, member.name) as (source, last):
        try:
            os.link(last, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            raise UnsafeLayer(member.name, f"a hard link to {member.linkname!r}: {error.strerror}") from None


def _attributes(member: tarfile.TarInfo, parent: int, name: str, rootless: bool) -> None:
    if not rootless:
        os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
    if not member.issym():
        # O_EXCL and mkdir have made it just now: it is no link, so chmod cannot be led elsewhere.
        os.chmod(name, stat.S_IMODE(member.mode) | (0o700 if rootless and member.isdir() else 0), dir_fd=parent)
    os.utime(name, (member.mtime, member.mtime), dir_fd=parent, follow_symlinks=False)


def _clear(parent: int, name: str, *, keep_directory: bool) -> None:
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(status.st_mode):
        if not keep_directory:
            shutil.rmtree(name, dir_fd=parent)
    else:
        os.unlink(name, dir_fd=parent)


def _whiteout(parent: int, name: str, entry: str) -> None:
    if not name or name in (".", "..") or name.startswith(_WHITEOUT):
        raise UnsafeLayer(entry, "a whiteout that names nothing")
    _clear(parent, name, keep_directory=False)
    os.mknod(name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=parent)


def _mark_opaque(parent: int, rootless: bool) -> None:
    name = "user.overlay.opaque" if rootless else "trusted.overlay.opaque"
    os.setxattr(parent, name, b"y")
