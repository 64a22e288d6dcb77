"""A file or a tree as a tar archive on a descriptor: in a container's root, or on the host.

    out = os.open("tree.tar", os.O_WRONLY | os.O_CREAT)
    with Packer(out, proc.own_descriptors()) as packer:
        packer.add(os.open("/srv/tree", os.O_PATH | os.O_NOFOLLOW), "tree")

Somebody may change the tree while it is read. So each name is opened once, without following a link, and what is
written of it is read from that descriptor; a directory is opened by openat2(2), which follows no link below the top.
Whatever happens, an entry is as long as its header says.

Kept: hard links, owners as numbers, times in nanoseconds, holes (pax GNU.sparse 1.0, which GNU tar, bsdtar, Go and
Python read), user.* attributes and file capabilities, names that are not UTF-8. Left out: sockets, ACLs.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from types import TracebackType

from labcontainer.errors import KernelError
from labcontainer.kernel.openat2 import Resolve, openat2

_BLOCK = tarfile.BLOCKSIZE
_COPY_BYTES = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BELOW = Resolve.RESOLVE_BENEATH | Resolve.RESOLVE_NO_SYMLINKS
# A file that changes while it is read, or goes: what tar, too, passes over.
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
# A map of more pieces than this costs more than the zeros that it saves; what follows is sent as it is.
_MOST_PIECES = 10_000

# Not here: directories, which have entries of their own, and sockets, which nobody but their process can bring to life.
_KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}

Pieces = list[tuple[int, int]]


class Packer:
    """One archive being written to `out`. Memory does not grow with files' sizes, only with hard links seen.

    `descriptors` is `proc.own_descriptors`, of a time when /proc was the host's.
    """

    def __init__(self, out: int, descriptors: int) -> None:
        self._out = open(out, "wb", buffering=_COPY_BYTES, closefd=False)  # noqa: SIM115  ours until `__exit__`
        self._descriptors = descriptors
        self._links: dict[tuple[int, int], str] = {}
        self.size_bytes = 0

    def __enter__(self) -> Packer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self._out.close()
        except OSError:
            if error is None:
                raise

    def add(self, top: int, name: str) -> None:
        """Write what is open (O_PATH will do) as `top`, and all below it, as `name`; ``""``: only what is below.

        Raises: KernelError (unreadable, or nobody reads the archive any more: EPIPE).
        """
        try:
            if stat.S_ISDIR(os.fstat(top).st_mode):
                self._tree(top, name)
            else:
                self._single(top, name)
        except OSError as error:
            if isinstance(error, KernelError):
                raise
            raise KernelError(error.errno or 0, f"archive({name!r})") from None

    def one(self, fd: int, name: str) -> None:
        """Write what is open (O_PATH will do) as `fd`, of a directory not what is in it. Raises: KernelError."""
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            self._single(fd, name)
            return
        directory = openat2(fd, ".", _DIRECTORY, _BELOW)
        try:
            self._entry(_member(name, os.fstat(directory), tarfile.DIRTYPE, _attributes(directory)))
        finally:
            os.close(directory)

    def empty(self, name: str) -> None:
        """Write an empty file of nobody's and no time. Raises: OSError."""
        self._entry(tarfile.TarInfo(name))

    def finish(self) -> None:
        """Write the end of the archive. Raises: OSError."""
        self._write(bytes(2 * _BLOCK))
        self._out.flush()

    def _tree(self, top: int, name: str) -> None:
        waiting = ["."]
        while waiting:
            path = waiting.pop()
            try:
                directory = openat2(top, path, _DIRECTORY, _BELOW)
            except KernelError as error:
                if path == "." or error.errno not in _VANISHED:
                    raise
                continue
            try:
                here = name if path == "." else _join(name, path.removeprefix("./"))
                below = self._directory(directory, here)
            finally:
                os.close(directory)
            waiting += [f"{path}/{each}" for each in reversed(below)]

    def _directory(self, directory: int, name: str) -> list[str]:
        """Write a directory and what is in it, but for its directories, which are returned."""
        if name:
            self._entry(_member(name, os.fstat(directory), tarfile.DIRTYPE, _attributes(directory)))
        below = []
        for each in sorted(os.listdir(directory)):
            try:
                fd = os.open(each, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            except OSError as error:
                if error.errno not in _VANISHED:
                    raise
                continue
            try:
                if stat.S_ISDIR(os.fstat(fd).st_mode):
                    below.append(each)
                else:
                    self._single(fd, _join(name, each))
            finally:
                os.close(fd)
        return below

    def _single(self, fd: int, name: str) -> None:
        status = os.fstat(fd)
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return
        if first := self._seen(status, name):
            self._entry(_member(name, status, tarfile.LNKTYPE, {}, linkname=first))
        elif kind == tarfile.REGTYPE:
            self._file(fd, name)
        else:
            target = os.readlink("", dir_fd=fd) if kind == tarfile.SYMTYPE else ""
            self._entry(_member(name, status, kind, {}, linkname=target))

    def _seen(self, status: os.stat_result, name: str) -> str | None:
        """The name under which the same file is in the archive already."""
        if status.st_nlink < 2:
            return None
        first = self._links.setdefault((status.st_dev, status.st_ino), name)
        return None if first is name else first

    def _file(self, path_fd: int, name: str) -> None:
        fd = os.open(str(path_fd), os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=self._descriptors)
        with open(fd, "rb", buffering=0) as file:
            status = os.fstat(fd)
            pieces = _pieces(fd, status)
            if pieces is None:
                member = _member(name, status, tarfile.REGTYPE, _attributes(fd), size=status.st_size)
                self._entry(member)
                self._content(file, [(0, status.st_size)])
                return
            self._sparse(file, status, name, pieces)

    def _sparse(self, file: io.FileIO, status: os.stat_result, name: str, pieces: Pieces) -> None:
        numbers = (len(pieces), *(number for piece in pieces for number in piece))
        map = _padded("".join(f"{number}\n" for number in numbers).encode())
        headers = _attributes(file.fileno()) | {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": name,
            "GNU.sparse.realsize": str(status.st_size),
        }
        size = len(map) + sum(length for _, length in pieces)
        # The name that a tar sees which does not know of holes.
        plain = os.path.join(os.path.dirname(name), "GNUSparseFile.0", os.path.basename(name))
        self._entry(_member(plain, status, tarfile.REGTYPE, headers, size=size))
        self._write(map)
        self._content(file, pieces)

    def _entry(self, member: tarfile.TarInfo) -> None:
        self._write(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self.size_bytes += len(data)

    def _content(self, file: io.FileIO, pieces: Pieces) -> None:
        for offset, length in pieces:
            file.seek(offset)
            left = length
            while left:
                # Zeros where it has shrunk meanwhile: the header has told its length.
                data = file.read(min(left, _COPY_BYTES)) or bytes(min(left, _COPY_BYTES))
                self._write(data)
                left -= len(data)
        self._write(bytes(-sum(length for _, length in pieces) % _BLOCK))


def _member(
    name: str, status: os.stat_result, type: bytes, headers: dict[str, str], *, size: int = 0, linkname: str = ""
) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname = type, size, linkname
    member.mode, member.uid, member.gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
    member.mtime, rest = divmod(status.st_mtime_ns, 10**9)
    member.pax_headers = dict(headers)
    if rest and member.mtime >= 0:
        member.pax_headers["mtime"] = f"{member.mtime}.{rest:09d}"
    if type in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        member.devmajor, member.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    return member


def _attributes(fd: int) -> dict[str, str]:
    """The extended attributes that mean something elsewhere, as GNU tar writes them."""
    found = {}
    try:
        for name in os.listxattr(fd):
            if name == "security.capability" or (name.startswith("user.") and not name.startswith("user.overlay.")):
                found[f"SCHILY.xattr.{name}"] = os.getxattr(fd, name).decode(errors="surrogateescape")
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENODATA, errno.EPERM):
            raise
    return found


def _pieces(fd: int, status: os.stat_result) -> Pieces | None:
    """(offset, length) of the file's data where it has holes worth the telling, else None."""
    if status.st_blocks * 512 >= status.st_size:
        return None
    pieces = list(_data(fd, status.st_size))
    if status.st_size - sum(length for _, length in pieces) < _COPY_BYTES // 16:
        return None
    # As GNU tar does: an empty piece at the end says how far the last hole reaches.
    if not pieces or sum(pieces[-1]) < status.st_size:
        pieces.append((status.st_size, 0))
    return pieces


def _data(fd: int, size: int) -> Iterator[tuple[int, int]]:
    end = 0
    for _ in range(_MOST_PIECES):
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
            end = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno != errno.ENXIO:  # no data from here to the end
                raise
            return
        if start >= end:
            return
        yield start, end - start
    if end < size:
        yield end, size - end


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _BLOCK)


def _join(name: str, below: str) -> str:
    return f"{name}/{below}" if name else below
