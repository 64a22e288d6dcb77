"""Where ``docker cp`` puts things: its rules, without any file being touched.

    source     destination                      becomes
    a file     an existing directory            a file of the source's name in it
    a file     an existing file                 that file, replaced
    a file     nothing                          a file of that name; with a slash at the end an error
    a tree     an existing directory            a directory of the source's name in it; ``tree/.``: what is in it
    a tree     an existing file                 an error
    a tree     nothing                          a directory of that name

A slash or ``/.`` at the end of a path means "the directory", also where a link leads to it.
See: https://docs.docker.com/reference/cli/docker/container/cp/
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from labcontainer.errors import UsageError


@dataclass(frozen=True, slots=True)
class End:
    """One end of a copy: its path, what is there, and for a source the name it goes by (empty: its own)."""

    path: str
    exists: bool = False
    directory: bool = False
    rename: str = ""


def split_argument(argument: str) -> tuple[str, str]:
    """``container:path``, or ``("", path)`` for a path of the host: it begins with ``/`` or ``.``, or has no colon."""
    if argument.startswith("/"):
        return "", argument
    container, colon, path = argument.partition(":")
    if not colon or container.startswith("."):
        return "", argument
    return container, path


def placed(source: End, destination: End) -> tuple[str, str]:
    """The directory into which the source is to be unpacked, and the name of its topmost entry there.

    An empty name: not the source itself, but what is in it. Raises: UsageError.
    """
    directory, name = split(destination.path)
    if destination.exists and destination.directory:
        own = source.rename or base(source.path)
        return destination.path, "" if own in (".", "/") else own
    if destination.exists and source.directory:
        raise UsageError("destination", destination.path, "cannot copy directory: there is a file of that name")
    if not destination.exists and not source.directory and asserts_directory(destination.path):
        raise UsageError("destination", destination.path, "no such directory")
    return directory, "" if name == "." else name


def clean(path: str) -> str:
    """`path` without empty parts, ``.`` and ``..``, by its text alone; Go's ``filepath.Clean``."""
    text = posixpath.normpath(path) if path else "."
    return text[1:] if text.startswith("//") else text


def base(path: str) -> str:
    """The last part of `path`, whatever slashes follow it; Go's ``filepath.Base``."""
    if not path:
        return "."
    return posixpath.basename(path.rstrip("/")) or "/"


def split(path: str) -> tuple[str, str]:
    """The directory and the name in it that `path` means; the name is ``.`` where the path ends so."""
    text = clean(path)
    if base(path) == "." and base(text) != ".":
        return text, "."
    return posixpath.dirname(text) or ".", posixpath.basename(text)


def absolute(path: str, start: str = "/") -> str:
    """`path`, from `start` on, cleaned, with the slash or ``/.`` at its end kept."""
    return _keep_end(clean(posixpath.join(start, path)), path)


def asserts_directory(path: str) -> bool:
    """Whether the path's end says that it is a directory."""
    return path.endswith("/") or base(path) == "."


def renamed(path: str, resolved: str) -> tuple[str, str]:
    """A followed link's target with the end that `path` has, and the name to keep where that is another."""
    target = resolved
    if base(path) == "." and base(target) != ".":
        target += "/."
    if path.endswith("/") and not target.endswith("/"):
        target += "/"
    return target, base(path) if base(path) != base(target) else ""


def _keep_end(cleaned: str, original: str) -> str:
    if base(original) == "." and base(cleaned) != ".":
        return cleaned.rstrip("/") + "/."
    if original.endswith("/") and not cleaned.endswith("/"):
        return cleaned + "/"
    return cleaned
