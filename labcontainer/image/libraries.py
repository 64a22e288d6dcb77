"""Which shared libraries a program needs, found as the dynamic loader finds them, without running anything.

    RPATH of the program · RUNPATH of whoever asks · /etc/ld.so.cache · the default directories      (man 8 ld.so)

Left out: LD_LIBRARY_PATH (an image has none) and variants for newer CPUs (the plain library runs everywhere).
"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from labcontainer.errors import NotFound
from labcontainer.image import elf
from labcontainer.image.elf import Elf

_DEFAULT = ("/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib")
_CACHE = Path("/etc/ld.so.cache")
_CACHE_MAGIC = b"glibc-ld.so.cache1.1"


def closure(program: Path) -> dict[str, Path]:
    """Everything that `program` is loaded with, by the name under which it is asked for; its loader by its path.

    Empty for scripts and static programs. Raises: NotFound (kind "library"). See: man 8 ld.so
    """
    found: dict[str, Path] = {}
    top = elf.read(program)
    waiting = [(program, top)] if top else []
    while waiting:
        path, one = waiting.pop()
        if one.interpreter:
            found[one.interpreter] = Path(one.interpreter)
        for name in one.needed:
            if name in found or name == os.path.basename(one.interpreter or ""):
                continue
            place = _find(name, [*_searched(path, one), *_searched(program, top)], one.kind)
            found[name] = place
            below = elf.read(place)
            if below:
                waiting.append((place, below))
    return found


def default_directories(needed: Mapping[str, Path]) -> tuple[Path, ...]:
    """The real directories in which the loader looks without being told, the one of the C library itself first.

    See: man 8 ld.so
    """
    homes = [path.parent for name, path in needed.items() if os.path.basename(name).startswith(("libc.so", "ld-musl"))]
    known = (*homes, Path("/usr/lib"), Path("/lib"), Path("/usr/lib64"), Path("/lib64"))
    return tuple(dict.fromkeys(Path(os.path.realpath(directory)) for directory in known))


def _searched(path: Path, one: Elf | None) -> list[str]:
    if one is None:
        return []
    origin = str(Path(os.path.realpath(path)).parent)
    return [text.replace("${ORIGIN}", origin).replace("$ORIGIN", origin) for text in one.runpath or one.rpath]


def _find(name: str, directories: Iterable[str], kind: bytes) -> Path:
    if "/" in name:
        return Path(name)
    candidates = [Path(directory) / name for directory in directories]
    candidates += [Path(path) for path in _cache().get(name, ())]
    candidates += [Path(directory) / name for directory in _DEFAULT]
    for candidate in candidates:
        found = elf.read(candidate)
        if found and found.kind == kind:
            return candidate
    raise NotFound("library", name)


@functools.cache
def _cache() -> dict[str, list[str]]:
    """``/etc/ld.so.cache`` as name → paths.

    struct { char magic[20]; u32 count, string_bytes; u8 flags, pad[3]; u32 extensions, unused[3]; }, then for each
    library { i32 flags; u32 name, path, os_version; u64 hwcap; }, where name and path are offsets from the magic.
    """
    try:
        data = _CACHE.read_bytes()
        start = data.index(_CACHE_MAGIC)
    except (OSError, ValueError):
        return {}  # musl has no cache; the default directories are all there is
    (count,) = struct.unpack_from("=I", data, start + len(_CACHE_MAGIC))
    plain: dict[str, list[str]] = {}
    for number in range(count):
        _, name, path, _, hwcap = struct.unpack_from("=iIIIQ", data, start + 48 + number * 24)
        if hwcap == 0:
            plain.setdefault(_text(data, start + name), []).append(_text(data, start + path))
    return plain


def _text(data: bytes, offset: int) -> str:
    return os.fsdecode(data[offset : data.index(b"\0", offset)])
