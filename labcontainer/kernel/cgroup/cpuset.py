"""Version 1's cpusets: a new one is empty, and takes no process until it has both CPUs and memory nodes."""

from __future__ import annotations

from pathlib import Path

from labcontainer.kernel import file

FILES = ("cpuset.cpus", "cpuset.mems")


def inherit(place: Path) -> None:
    """Fill what is empty in the cpuset `place` from the one above, whose own may be empty too.

    Raises: KernelError. See: man 7 cpuset
    """
    for name in FILES:
        _fill(place, name)


def _fill(place: Path, name: str) -> str:
    there = file.read(place / name)
    if not there:
        there = _fill(place.parent, name)
        file.write(place / name, there)
    return there
