"""Parts of the host's file system, copied as they lie: the files, and the links by which one gets to them.

    >>> tree = HostTree()
    >>> tree.add_program(Path("/bin/sh"))
    >>> tree.entries
    {'bin': Link('usr/bin'), 'usr/bin/sh': Link('dash'), 'usr/bin/dash': Copy(…), 'lib64': Link('usr/lib64'), …}

So a host with /bin merged into /usr and one without, /lib64 or /lib/x86_64-linux-gnu, glibc or musl, each give an
image in their own layout, and a program finds its loader where it expects it. One directory can be moved: `moved` says
which, and where to.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from labcontainer.errors import NotFound
from labcontainer.image import elf, libraries
from labcontainer.image.layer import Content, Copy, Directory, Entry, Link, Tree

_MOST_LINKS = 40
# Debugging symbols of less than this are not worth the reading.
_WORTH_STRIPPING_BYTES = 1 << 20


class HostTree:
    """A tree under construction; what the tree `below` has already is not taken again."""

    def __init__(self, below: Tree | None = None, moved: tuple[Path, Path] | None = None) -> None:
        self.entries: dict[str, Entry] = {}
        self._below = below or {}
        self._moved = moved

    def put(self, path: str, entry: Entry) -> None:
        """Add one entry; `path` may begin with a slash."""
        name = path.strip("/")
        if self._below.get(name) != entry:
            self.entries[name] = entry

    def add_program(self, path: Path) -> None:
        """Add a program or library with all that it is loaded with.

        Raises: NotFound (kind "library" or "file"; then nothing was added).
        """
        needed = libraries.closure(path)
        if not os.access(path, os.R_OK):
            raise NotFound("file", str(path), "it is not there, or may not be read")
        default = libraries.default_directories(needed)
        self.add(path)
        for name, library in needed.items():
            place = self.add(library)
            # The image has no cache: its loader looks into the default directories alone.
            if "/" not in name and Path(os.path.realpath(library.parent)) not in default:
                self.put(f"{default[0]}/{name}", Link(f"/{place}"))

    def add(self, path: Path) -> str:
        """Add a file of the host with the links on its way; where it is in the tree.

        Raises: NotFound (kind "file").
        """
        if self._moved and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self._moved[0])):
            return self._add_moved(path, *self._moved)
        here, parts = "", list(path.parts[1:])
        for _ in range(len(parts) + _MOST_LINKS * 8):
            if not parts:
                return here
            part = parts.pop(0)
            if part == "..":
                here = os.path.dirname(here)
                continue
            step = f"{here}/{part}".strip("/")
            target = self._take(step, last=not parts)
            if target is None:
                here = step
            else:
                here = "" if target.startswith("/") else here
                parts[:0] = [one for one in target.split("/") if one not in ("", ".")]
        raise NotFound("file", str(path), "its links lead round in a circle")

    def _take(self, step: str, *, last: bool) -> str | None:
        """Add one name on the way; the link's target where it is a link."""
        if not last and isinstance(self.entries.get(step), Directory):
            return None
        try:
            status = os.lstat(f"/{step}")
        except OSError:
            raise NotFound("file", f"/{step}") from None
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(f"/{step}")
            self.put(step, Link(target))
            return target
        self.put(step, Directory() if stat.S_ISDIR(status.st_mode) else content(Path(f"/{step}")))
        return None

    def _add_moved(self, path: Path, old: Path, new: Path) -> str:
        # Taken by its content, under the name by which it was asked for: a link would lead to the old place.
        if path.is_relative_to(old):
            inside = path.relative_to(old)
        else:
            inside = Path(os.path.realpath(path)).relative_to(os.path.realpath(old))
        place = str(new / inside).strip("/")
        self.put(place, content(path))
        return place


def content(path: Path) -> Entry:
    """A file as an entry, without its debugging symbols where they are large."""
    size = os.stat(path).st_size
    if size > _WORTH_STRIPPING_BYTES and size - elf.loadable_bytes(path) > _WORTH_STRIPPING_BYTES:
        return Content(elf.loadable(path), 0o755)
    return Copy(path)
