"""The files of one container, running or not: archives out and in, its changes, the whole of it.

Everything is done by a helper that stands in the container's root (`runtime.visitor`); here are only the streams.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from labcontainer.engine import copy_rules, record
from labcontainer.errors import HostError, NotFound, StateError, UsageError
from labcontainer.oci.bundle import Bundle
from labcontainer.runtime import state
from labcontainer.runtime.life import Status

# What only these verbs need is imported by them: every `lab run` would wait for tar and for the plan of a root.
if TYPE_CHECKING:
    from labcontainer.runtime.inside import Place
    from labcontainer.runtime.visit import Visit

CHUNK_BYTES = 2 << 20

# What docker makes before a container's own changes begin (moby: daemon/initlayer).
_MADE_BY_US = ("/dev", "/dev/console", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab", "/.dockerenv")
_PIPE_BYTES = 1 << 20

Data = bytes | BinaryIO | Iterable[bytes]


def place(directory: Path, *, volumes: bool = True) -> Place:
    """Where the files of the container in `directory` are now. Raises: NotFound, StateError (it is just being made)."""
    from labcontainer.runtime.inside import Place

    now = state.observe(directory)
    if now.status is Status.CREATING:
        raise StateError(now.id, now.status, "look into", "wait until it has been created")
    init = now.init if now.init and now.init.alive() else None
    return Place(now.id, str(directory), record.read_request(directory).lowerdirs, init, volumes)


def user(directory: Path) -> tuple[int, int]:
    """The uid and gid of the container's command, as numbers inside. Raises: SpecError."""
    process = Bundle(directory).read().process
    return (process.user.uid, process.user.gid) if process else (0, 0)


def enter(directory: Path, *, volumes: bool = True, trace: str | None = None) -> Visit:
    """A helper in the root of the container in `directory`. Raises: StateError, HostError, KernelError."""
    try:
        return _enter(place(directory, volumes=volumes), trace)
    except StateError:
        # It has started or ended just now, and is somewhere else.
        return _enter(place(directory, volumes=volumes), trace)


def _enter(place: Place, trace: str | None) -> Visit:
    from labcontainer.runtime.visit import Visit

    visit = Visit()
    try:
        visit.ask("enter", place=place.to_json(), trace=trace)
    except BaseException:
        visit.close()
        raise
    return visit


class Archive(Iterator[bytes]):
    """A tar archive on its way out of a container. It ends with an error where the container's files could not be read.

    Whoever does not read it to its end closes it, or lets go of it.
    """

    def __init__(
        self, visit: Visit, kind: str, *, chunk_size: int = CHUNK_BYTES, fds: Sequence[int] = (), **fields: Any
    ) -> None:
        """Ask `visit` for `kind`; the archive's descriptor is the last of the message's."""
        self._visit = visit
        self._chunk_size = chunk_size
        self._pipe, out = pipe()
        try:
            visit.begin(kind, fds=[*fds, out], **fields)
        finally:
            os.close(out)
        self._open = True

    def __next__(self) -> bytes:
        if not self._open:
            raise StopIteration
        if data := os.read(self._pipe, self._chunk_size):
            return data
        try:
            self._visit.end()
        finally:
            self.close()
        raise StopIteration

    def close(self) -> None:
        """End it, wherever it stands."""
        if self._open:
            self._open = False
            os.close(self._pipe)
            self._visit.close()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # it was not even begun
            self.close()


def get_archive(visit: Visit, path: str, chunk_size: int = CHUNK_BYTES) -> tuple[Archive, dict[str, Any]]:
    """The file or directory `path` as a tar, and what it is (docker's stat). Both end the visit. Raises: NotFound."""
    try:
        full = copy_rules.absolute(given(path))
        found = visit.ask("stat", path=full)["stat"]
        name = copy_rules.base(full)
        return Archive(visit, "get", path=full, name="." if name == "/" else name, chunk_size=chunk_size), found
    except BaseException:
        visit.close()
        raise


def put_archive(
    visit: Visit, path: str, data: Data, *, owner: tuple[int, int] | None = None, replace: bool = True
) -> list[str]:
    """Unpack a tar (plain, gzip, bzip2 or xz) into the directory `path`; says what could not be made as it has it.

    Raises: NotFound, UsageError (no directory; read-only), UnsafeArchive, SpecError, KernelError.
    """

    def write(out: int) -> None:
        for piece in _pieces(data):
            write_all(out, piece)

    return feed(visit, path, write, owner=owner, replace=replace)


def feed(
    visit: Visit, path: str, write: Callable[[int], object], *, owner: tuple[int, int] | None, replace: bool
) -> list[str]:
    """Let `write(descriptor)` write an archive, which is unpacked at `path` meanwhile. Raises: as `put_archive`."""
    source, out = pipe()
    try:
        full = copy_rules.absolute(given(path))
        visit.begin("put", fds=[source], path=full, owner=owner, replace=replace)
    finally:
        os.close(source)
    try:
        write(out)
    except OSError as error:
        if error.errno != errno.EPIPE:  # EPIPE: the helper has given up, and its answer says why
            raise
    finally:
        os.close(out)
    return cast(list[str], visit.end()["notes"])


def diff(directory: Path, *, trace: str | None = None) -> list[dict[str, Any]]:
    """The container's changes: ``[{"Path": "/etc", "Kind": 0}, …]``. Raises: KernelError, StateError."""
    from labcontainer.runtime import inside
    from labcontainer.runtime.visit import Visit

    made = {each.destination for each in Bundle(directory).read().mounts if not inside.is_volume(each)}
    mountpoints = sorted(made.union(_MADE_BY_US))
    with Visit() as visit:
        source, out = pipe()
        try:
            visit.begin("diff", fds=[out], place=place(directory).to_json(), mountpoints=mountpoints, trace=trace)
        finally:
            os.close(out)
        with open(source, "rb") as file:
            lines = file.read().split(b"\0")[:-1]
        visit.end()
    return [{"Path": os.fsdecode(line[1:]), "Kind": "CAD".index(chr(line[0]))} for line in lines]


def changeset(directory: Path, *, trace: str | None = None) -> Archive:
    """The container's changes as a layer: a tar with whiteouts. Raises: KernelError, StateError, HostError."""
    changes = "".join(f"{letter(each)}{each['Path']}\0" for each in diff(directory, trace=trace))
    with open(os.memfd_create("changes", os.MFD_CLOEXEC), "w+b") as listing:
        listing.write(os.fsencode(changes))
        listing.seek(0)
        return Archive(enter(directory, volumes=False, trace=trace), "changeset", fds=[listing.fileno()])


def letter(change: dict[str, Any]) -> str:
    """``A``, ``C`` or ``D``."""
    from labcontainer.runtime.diff import Kind

    return Kind(change["Kind"]).letter


def pipe() -> tuple[int, int]:
    """Both ends of a new pipe, as wide as an ordinary user may have it."""
    ends = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return ends


def write_all(fd: int, data: bytes) -> None:
    """All of `data`. Raises: OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


@contextlib.contextmanager
def naming(container: str) -> Iterator[None]:
    """Say of a file of the container (not of the host) that is not there in which container it was looked for."""
    try:
        yield
    except NotFound as error:
        from labcontainer.runtime import lookup

        if error.kind != lookup.KIND:
            raise
        raise NotFound("file", f"{error.name} in container {container}") from None


def given(path: str) -> str:
    """`path`, which names something. Raises: UsageError."""
    if not path:
        raise UsageError("path", path, "it must not be empty")
    return path


def _pieces(data: Data) -> Iterator[bytes]:
    """The archive's uncompressed bytes. The first of them say how it is compressed, as docker does it."""
    opened = _decompressed(cast(io.BufferedReader, io.BufferedReader(_Stream(data), _PIPE_BYTES)))
    while piece := opened.read(_PIPE_BYTES):
        yield piece


def _decompressed(stream: io.BufferedReader) -> io.BufferedIOBase:
    import bz2
    import gzip
    import lzma

    start = stream.peek(6)[:6]
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=stream, mode="rb")
    if start.startswith(b"BZh"):
        return bz2.BZ2File(stream)
    if start.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMAFile(stream)
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        raise HostError("zstd archives", remedy="zstd -d", reason="plain, gzip, bzip2 and xz are read")
    return stream


class _Stream(io.RawIOBase):
    """Whatever somebody gave us, as a file."""

    def __init__(self, data: Data) -> None:
        file = io.BytesIO(data) if isinstance(data, bytes | bytearray | memoryview) else data
        read = getattr(file, "read", None)
        self._next = (lambda: read(_PIPE_BYTES)) if read else _each(file)
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            piece = self._next()
            if not piece:
                return 0
            self._left = bytes(piece)
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count


def _each(pieces: Iterable[bytes]) -> Callable[[], bytes]:
    iterator = filter(None, pieces)
    return lambda: next(iterator, b"")
