"""What is mounted into a container beyond its root: ``-v``, ``--mount`` and ``--tmpfs`` as mounts of config.json.

-v /srv/data:/data:ro,rslave
--mount type=bind,source=/srv/data,target=/data,readonly,bind-propagation=rslave
--mount type=tmpfs,target=/run,tmpfs-size=64m,tmpfs-mode=1770
--tmpfs /run:size=64m,mode=1770,exec
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from labcontainer.engine import mount_syntax
from labcontainer.engine.limits import size_bytes
from labcontainer.errors import UsageError
from labcontainer.oci.runtime_spec import Mount

# What can be told of a bind mount, and what docker itself takes and does nothing with on Linux.
PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_NO_EFFECT = ("z", "Z", "cached", "delegated", "consistent", "default")
_TMPFS = ("noexec", "nosuid", "nodev")
_TMPFS_FLAGS = (
    "ro", "rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "sync", "async", "dirsync", "atime", "noatime",
    "diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime", "remount",
)  # fmt: skip
_TMPFS_VALUES = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol")

Tmpfs = Mapping[str, str] | Iterable[str] | None


def take(settings: dict[str, Any]) -> tuple[Mount, ...]:
    """docker-py's volumes, mounts and tmpfs, out of `settings`; what lies deeper comes later. Raises: UsageError."""
    found = [
        *(volume(*parts) for parts in mount_syntax.volumes(settings.pop("volumes", None))),
        *(mount(given) for given in settings.pop("mounts", None) or ()),
        *tmpfs(settings.pop("tmpfs", None)),
    ]
    seen = set()
    for each in found:
        if each.destination in seen:
            raise UsageError("mount", each.destination, "two things cannot be mounted at one place")
        seen.add(each.destination)
    return tuple(sorted(found, key=lambda each: each.destination.rstrip("/").count("/")))


def tmpfs(given: Tmpfs) -> tuple[Mount, ...]:
    """docker-py's ``{"/run": "size=64m"}``, or ``/run:size=64m`` texts. Raises: UsageError."""
    pairs = given.items() if isinstance(given, Mapping) else [text.partition(":")[::2] for text in given or ()]
    return tuple(_tmpfs("tmpfs", target, [*_TMPFS, *filter(None, options.split(","))]) for target, options in pairs)


def mount(given: str | Mapping[str, Any]) -> Mount:
    """One ``--mount``, or docker-py's `Mount` of the same. Raises: UsageError."""
    told = mount_syntax.mount(given) if isinstance(given, str) else mount_syntax.of_api(given)
    text = given if isinstance(given, str) else dict(given)
    kind = told.pop("type", "volume")
    target, read_only = str(told.pop("target", "")), mount_syntax.truth(text, told.pop("readonly", False))
    if kind not in _KINDS:
        later = "named volumes come later: use type=bind or tmpfs" if kind == "volume" else "choose bind or tmpfs"
        raise UsageError("mount", text, f"{kind} is not served here; {later}")
    made = _KINDS[kind](text, target, told, read_only)
    if told:
        raise UsageError("mount", text, f"{next(iter(told))} is not for type={kind}")
    return made


def _bind(text: object, target: str, told: dict[str, Any], read_only: bool) -> Mount:
    source = str(told.pop("source", ""))
    if mount_syntax.truth(text, told.pop("bind-create-src", False)):
        os.makedirs(source, exist_ok=True)
    recursive = str(told.pop("bind-recursive", "enabled"))
    if mount_syntax.truth(text, told.pop("bind-nonrecursive", False)):
        recursive = "disabled"
    if recursive not in ("enabled", "disabled", "writable", "readonly"):
        raise UsageError("mount", text, "bind-recursive is enabled, disabled, writable or readonly")
    words = [str(told.pop("bind-propagation", "") or "rprivate")]
    if words[0] not in PROPAGATIONS:
        raise UsageError("mount", text, f"bind-propagation is one of {', '.join(PROPAGATIONS)}")
    told.pop("consistency", None)
    if read_only:
        words += ["ro"] if recursive in ("disabled", "writable") else ["ro", "rro"]
    return _bound("mount", text, source, target, ["bind" if recursive == "disabled" else "rbind", *words])


def _tmpfs_mount(text: object, target: str, told: dict[str, Any], read_only: bool) -> Mount:
    if "source" in told:
        raise UsageError("mount", text, "a tmpfs has no source")
    options = list(_TMPFS)
    size = told.pop("tmpfs-size", None)
    if size is not None:
        options.append(f"size={size_bytes('tmpfs-size', size)}")
    mode = told.pop("tmpfs-mode", None)
    if mode is not None:
        options.append(f"mode={mode:o}" if isinstance(mode, int) else f"mode={mode}")
    options += filter(None, str(told.pop("tmpfs-options", "")).split(","))
    return _tmpfs("mount", target, [*options, *(["ro"] if read_only else [])])


_KINDS: dict[str, Callable[[object, str, dict[str, Any], bool], Mount]] = {"bind": _bind, "tmpfs": _tmpfs_mount}


def volume(source: str, target: str, mode: str = "") -> Mount:
    """One ``-v``. Raises: UsageError."""
    text = f"{source}:{target}:{mode}" if mode else f"{source}:{target}"
    words = [word for word in mode.split(",") if word]
    propagation = [word for word in words if word in PROPAGATIONS]
    rest = [word for word in words if word not in (*PROPAGATIONS, *_NO_EFFECT)]
    if "nocopy" in rest:
        raise UsageError("volume", text, "nocopy is for named volumes: a bind mount never copies what the image has")
    if set(rest) - {"ro", "rw"} or len(rest) > 1 or len(propagation) > 1:
        raise UsageError("volume", text, f"the mode is ro or rw, and one of {', '.join(PROPAGATIONS)}")
    if {"z", "Z"} & set(words) and os.path.isdir("/sys/fs/selinux/booleans"):
        raise UsageError(
            "volume", text, "labels of SELinux are not set here; use chcon -Rt container_file_t on the host"
        )
    options = ["rbind", *(propagation or ["rprivate"]), *(["ro", "rro"] if "ro" in rest else [])]
    return _bound("volume", text, source, target, options)


def _bound(flag: str, text: object, source: str, target: str, options: Iterable[str]) -> Mount:
    if not source.startswith("/"):
        raise UsageError(flag, text, "the source must be an absolute path: named volumes come later")
    _check_target(flag, text, target)
    if not os.path.exists(source):
        raise UsageError(flag, text, f"{source} does not exist on this machine")
    return Mount(posixpath.normpath(target), "bind", source, tuple(options))


def _tmpfs(flag: str, target: str, options: Iterable[str]) -> Mount:
    _check_target(flag, target, target)
    chosen: dict[str, str] = {}
    for option in options:
        name, separator, value = option.partition("=")
        if not (name in _TMPFS_VALUES and value if separator else name in _TMPFS_FLAGS):
            known = ", ".join([*_TMPFS_FLAGS[:10], *(f"{one}=" for one in _TMPFS_VALUES)])
            raise UsageError(flag, option, f"it is no option of a tmpfs; choose from {known} …")
        opposite = name.removeprefix("no") if name.startswith("no") else f"no{name}"
        for other in (opposite, {"ro": "rw", "rw": "ro"}.get(name, "")):
            chosen.pop(other, None)
        chosen[name] = option
    return Mount(posixpath.normpath(target), "tmpfs", "tmpfs", tuple(chosen.values()))


def _check_target(flag: str, text: object, target: str) -> None:
    if not target.startswith("/") or "\0" in target or posixpath.normpath(target) in ("/", "//"):
        raise UsageError(flag, text, f"the target {target!r} must be an absolute path, and not / itself")
