"""What a cgroup may be called, and which directory that is.

    7f3a…                          below this user's own base, where labcontainer's containers are
    pods/7f3a…                     the same, deeper
    /libpod_parent/7f3a…           from the top of each hierarchy: what a runtime is told as linux.cgroupsPath
    user.slice:libpod:7f3a…        systemd's words for /user.slice/libpod-7f3a….scope

See: runtime-spec v1.2.0 config-linux.md#cgroups-path
"""

from __future__ import annotations

from labcontainer.errors import UsageError


def path(name: str) -> str:
    """`name` as a path: with a slash at its beginning it counts from the top of the hierarchies.

    Raises: UsageError where it is no place for a container. See: runtime-spec v1.2.0 config-linux.md#cgroups-path
    """
    given = _of_unit(name) if name.count(":") == 2 and "/" not in name else name
    parts = [part for part in given.split("/") if part not in ("", ".")]
    if not parts:
        raise UsageError("cgroup", name, "it names the cgroup of the whole machine, and a container needs its own")
    if ".." in parts or "\0" in given:
        raise UsageError("cgroup", name, "it must not lead upwards with ..")
    return ("/" if given.startswith("/") else "") + "/".join(parts)


def _of_unit(name: str) -> str:
    """``slice:prefix:name`` as the path that systemd gives to such a scope; without a slice, to one of its own."""
    slice, prefix, unit = name.split(":")
    slice = slice or "system.slice"
    if not unit or not slice.endswith(".slice"):
        raise UsageError("cgroup", name, "systemd's form is SLICE.slice:PREFIX:NAME")
    scope = unit if unit.endswith(".slice") else f"{prefix}-{unit}.scope" if prefix else f"{unit}.scope"
    return f"/{expand(slice)}{scope}"


def expand(slice: str) -> str:
    """The path of a slice, each part of whose name is one above: ``a-b.slice`` is ``a.slice/a-b.slice/``.

    See: man 5 systemd.slice
    """
    words = slice.removesuffix(".slice").split("-")
    if words == ["", ""]:  # -.slice is the root
        return ""
    if not all(words):
        raise UsageError("slice", slice, "between two hyphens, before the first and after the last stands a name")
    return "".join(f"{'-'.join(words[: end + 1])}.slice/" for end in range(len(words)))
