"""What a container has changed: its upperdir against the layers below, in docker's three letters.

    upperdir                       the layers have           change
    a whiteout (device 0:0)        something                 D
    a name                         nothing of that name      A, and all below it
    a name                         the same kind of thing    C where owner, mode, size or time of the content differ
    a name                         another kind of thing     C, and all below it A
    an opaque directory            a directory               D for what it has not
    a redirected directory         (at its old path)         A for all that is in sight in it

A file that was opened for writing, and then left as it was, has been copied up: it is no change. Neither is a
directory's time. A directory on the way to a change is C itself, so that the list can be read as a tree.

The container may write all this while we read: nothing is opened through a link, and each directory by openat2(2).
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from labcontainer.errors import KernelError
from labcontainer.kernel import overlay
from labcontainer.kernel.openat2 import Resolve, openat2

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BELOW = Resolve.RESOLVE_BENEATH | Resolve.RESOLVE_NO_SYMLINKS
# A directory that is gone meanwhile, or something else by now.
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_MARKS = ("trusted.overlay.", "user.overlay.")


class Kind(enum.IntEnum):
    """A change's kind, by the numbers of docker's API. See: https://docs.docker.com/reference/api/engine/"""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2

    @property
    def letter(self) -> str:
        """How ``docker diff`` prints it."""
        return "CAD"[self]

    @classmethod
    def of(cls, letter: str) -> Kind:
        """The kind that has this `letter`."""
        return cls("CAD".index(letter))


# The directories of the layers that make up one directory, topmost first: (the layer's root, path below it).
Sources = tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class _Directory:
    """A directory still to be looked at: what the image had there, and what of the image the overlay shows there now.

    The two differ where a directory is opaque, or was moved. `upper`: the upperdir has it, too.
    """

    path: str
    before: Sources
    shown: Sources
    upper: bool = True


@dataclass(frozen=True, slots=True)
class _Part:
    """One of the directories that make up one: where it is, and open."""

    root: int
    path: str
    fd: int


@dataclass(frozen=True, slots=True)
class _Found:
    """A name in a directory: what it is, the part that has it, and its own parts if it is a directory itself."""

    status: os.stat_result
    part: _Part
    sources: Sources

    @property
    def directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)


def find(upper: str, layers: Iterable[str], mountpoints: Iterable[str] = ()) -> list[tuple[str, Kind]]:
    """The changes, a directory before what is in it. `layers` are topmost first.

    `mountpoints` are paths that the engine itself makes to mount something on: made anew they are no change.

    Raises: OSError. See: https://docs.kernel.org/filesystems/overlayfs.html
    """
    with contextlib.ExitStack() as opened:

        def root(path: str) -> int:
            fd = os.open(path, _DIRECTORY)
            opened.callback(os.close, fd)
            return fd

        comparison = _Comparison(root(upper), tuple((root(layer), ".") for layer in layers), frozenset(mountpoints))
        comparison.run()
    return sorted(comparison.found.items(), key=lambda item: item[0].split("/"))


@dataclass(slots=True)
class _Comparison:
    upper: int
    layers: Sources
    mountpoints: frozenset[str]
    found: dict[str, Kind] = field(default_factory=dict)
    _waiting: list[_Directory] = field(default_factory=list)

    def run(self) -> None:
        self._waiting.append(_Directory("", self.layers, self.layers))
        while self._waiting:
            self._look(self._waiting.pop())

    def _look(self, here: _Directory) -> None:
        same = here.before == here.shown
        with (
            _parts(((self.upper, f".{here.path}"),) if here.upper else ()) as upper,
            _parts(here.before) as before,
            _parts(() if same else here.shown) as shown,
        ):
            names = {name for part in upper for name in os.listdir(part.fd)}
            # Where the overlay shows what the image had, only what is in the upperdir can have changed.
            visible = names if same else names | _names(shown)
            for name in visible:
                self._compare(here, name, upper, before, before if same else shown)
            for name in () if same else _names(before) - visible:
                self._note(f"{here.path}/{name}", Kind.DELETED)

    def _compare(
        self, here: _Directory, name: str, upper: list[_Part], before: list[_Part], shown: list[_Part]
    ) -> None:
        path = f"{here.path}/{name}"
        was, top, below = _lookup(before, name), _status(upper[0].fd, name) if upper else None, _lookup(shown, name)
        if top is not None and overlay.is_whiteout(top):
            if was is not None:
                self._note(path, Kind.DELETED)
            return
        now = _Found(top, upper[0], ()) if top is not None else below
        if now is None:
            return  # gone meanwhile
        if was is None:
            if path not in self.mountpoints:
                self._note(path, Kind.ADDED)
        elif _differ(name, was, now):
            self._note(path, Kind.MODIFIED)
        if now.directory:
            parts = below.sources if below else ()
            if top is not None:
                parts = self._behind(upper[0], name, shown, parts)
            self._waiting.append(_Directory(path, was.sources if was else (), parts, upper=top is not None))

    def _behind(self, upper: _Part, name: str, shown: list[_Part], parts: Sources) -> Sources:
        """What the overlay shows through the upperdir's directory `name`: `parts`, unless its marks say otherwise."""
        if _mark(upper.fd, name, "opaque") == b"y":
            return ()
        redirect = os.fsdecode(_mark(upper.fd, name, "redirect"))
        if not redirect:
            return parts
        if not redirect.startswith("/"):
            found = _lookup(shown, redirect)
            return found.sources if found else ()
        sources = self.layers
        for part in filter(None, redirect.split("/")):
            with _parts(sources) as opened:
                found = _lookup(opened, part)
            sources = found.sources if found else ()
        return sources

    def _note(self, path: str, kind: Kind) -> None:
        self.found[path] = kind
        while (path := path.rpartition("/")[0]) and path not in self.found:
            self.found[path] = Kind.MODIFIED


@contextlib.contextmanager
def _parts(sources: Sources) -> Iterator[list[_Part]]:
    parts = []
    try:
        for root, path in sources:
            try:
                parts.append(_Part(root, path, openat2(root, path, _DIRECTORY, _BELOW)))
            except KernelError as error:
                if error.errno not in _VANISHED:
                    raise
        yield parts
    finally:
        for part in parts:
            os.close(part.fd)


def _lookup(parts: list[_Part], name: str) -> _Found | None:
    """What the overlay shows of `name` in a directory that is made up of `parts`."""
    first: tuple[os.stat_result, _Part] | None = None
    sources: list[tuple[int, str]] = []
    for part in parts:
        status = _status(part.fd, name)
        if status is None:
            continue
        if overlay.is_whiteout(status) or (first and not stat.S_ISDIR(status.st_mode)):
            break
        first = first or (status, part)
        if not stat.S_ISDIR(status.st_mode):
            break
        sources.append((part.root, f"{part.path}/{name}"))
        if _mark(part.fd, name, "opaque") == b"y":
            break
    return _Found(*first, tuple(sources)) if first else None


def _names(parts: list[_Part]) -> set[str]:
    every = {name for part in parts for name in os.listdir(part.fd)}
    return {name for name in every if _lookup(parts, name)}


def _status(directory: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return None  # not there, or gone since it was listed


def _differ(name: str, was: _Found, now: _Found) -> bool:
    if was.part is now.part:
        return False
    fields = ["st_mode", "st_uid", "st_gid", "st_rdev"]
    if not now.directory:
        fields += ["st_size", "st_mtime_ns"]
    if any(getattr(was.status, each) != getattr(now.status, each) for each in fields):
        return True
    if stat.S_ISLNK(now.status.st_mode):
        return _target(was.part.fd, name) != _target(now.part.fd, name)
    return _attributes(was.part.fd, name) != _attributes(now.part.fd, name)


def _target(directory: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:
        return None


def _mark(directory: int, name: str, mark: str) -> bytes:
    """The overlay's own attribute `mark` of a directory, empty where it has none."""
    marks = _attributes(directory, name, wanted=lambda each: each in [f"{prefix}{mark}" for prefix in _MARKS])
    return next(iter(marks.values()), b"")


def _content(name: str) -> bool:
    return name == "security.capability" or (name.startswith("user.") and not name.startswith("user.overlay."))


def _attributes(directory: int, name: str, wanted: Callable[[str], bool] = _content) -> dict[str, bytes]:
    """Extended attributes of a file or directory; none of anything else, which is not opened."""
    try:
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return {}
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            return {}
        # By way of /proc, the file that was looked at is meant, whatever has its name now.
        path = f"/proc/self/fd/{fd}"
        return {each: os.getxattr(path, each) for each in os.listxattr(path) if wanted(each)}
    except OSError:
        return {}
    finally:
        os.close(fd)
