"""Which shared libraries a program needs, asked of the host's own dynamic loader."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

_ELF = b"\x7fELF"
# "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)" and "/lib64/ld-linux-x86-64.so.2 (0x…)"
_LINE = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x", re.MULTILINE)


def needed(programs: Iterable[Path]) -> frozenset[Path]:
    """The libraries and loaders of `programs`, which are the host's own and trusted; scripts and static ones need none.

    See: man 1 ldd
    """
    binaries = [str(program) for program in programs if is_elf(program)]
    if not binaries:
        return frozenset()
    listed = subprocess.run(
        ["ldd", *binaries], capture_output=True, text=True, check=False, env={"PATH": os.defpath, "LC_ALL": "C"}
    )
    return frozenset(Path(path) for path in _LINE.findall(listed.stdout))


def is_elf(path: Path) -> bool:
    """Whether `path` is a program or library rather than a script; False where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_ELF)) == _ELF
    except OSError:
        return False
