"""How mounts are written down: ``-v``'s short form, ``--mount``'s long one, and the API's objects."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from labcontainer.engine.limits import size_bytes
from labcontainer.errors import UsageError

Volumes = Mapping[str, Mapping[str, str]] | Iterable[str] | None

_KEYS = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    **{name: name for name in (
        "type", "source", "target", "readonly", "consistency", "bind-propagation", "bind-nonrecursive",
        "bind-recursive", "bind-create-src", "tmpfs-size", "tmpfs-mode", "tmpfs-options",
        "volume-driver", "volume-label", "volume-nocopy", "volume-opt", "volume-subpath", "image-subpath",
    )},
}  # fmt: skip
_FLAGS = ("readonly", "bind-nonrecursive", "bind-create-src", "volume-nocopy")
# docker's API, as docker-py's Mount builds it: {"Type": "bind", "BindOptions": {"Propagation": "rslave"}, …}
_API = {
    "Type": "type", "Source": "source", "Target": "target", "ReadOnly": "readonly", "Consistency": "consistency",
    "BindOptions.Propagation": "bind-propagation", "BindOptions.NonRecursive": "bind-nonrecursive",
    "BindOptions.CreateMountpoint": "bind-create-src",
    "TmpfsOptions.SizeBytes": "tmpfs-size", "TmpfsOptions.Mode": "tmpfs-mode",
}  # fmt: skip
_TRUTH = {"": True, "true": True, "1": True, "t": True, "false": False, "0": False, "f": False}


def volume(text: str) -> tuple[str, str, str]:
    """``/host:/inside[:mode]`` as (source, target, mode); a source may begin with ``.`` or ``~``.

    Raises: UsageError.
    """
    source, *rest = text.split(":")
    if not rest or len(rest) > 2:
        raise UsageError("volume", text, "write /on/the/host:/inside or /on/the/host:/inside:ro")
    if source.startswith((".", "~")):
        source = os.path.abspath(os.path.expanduser(source))
    return source, rest[0], rest[1] if len(rest) == 2 else ""


def mount(text: str) -> dict[str, Any]:
    """``type=bind,source=/a,target=/b,readonly`` as its keys and values. Raises: UsageError."""
    import csv

    told: dict[str, Any] = {}
    for field in next(csv.reader([text]), []):
        key, separator, value = field.partition("=")
        name = _KEYS.get(key.strip().lower())
        if name is None:
            raise UsageError(
                "mount", text, f"{key!r} is no key; it begins type=bind,source=/on/the/host,target=/inside"
            )
        if not separator and name not in _FLAGS:
            raise UsageError("mount", text, f"{key} needs a value: {key}=…")
        told[name] = value
    return told


def of_api(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same of docker's API object. Raises: UsageError."""
    told: dict[str, Any] = {}
    for key, value in given.items():
        parts = value.items() if isinstance(value, Mapping) else [("", value)]
        for part, inner in parts:
            name = _API.get(f"{key}.{part}" if part else key)
            if name is None:
                raise UsageError("mount", dict(given), f"{key}{part and '.'}{part} is not served here")
            if inner is not None:
                told[name] = inner
    return told


def volumes(given: Volumes) -> list[tuple[str, str, str]]:
    """docker-py's mapping, or a list of texts, as (source, target, mode). Raises: UsageError."""
    if isinstance(given, Mapping):
        return [(source, how["bind"], how.get("mode", "")) for source, how in given.items()]
    return [volume(text) for text in given or ()]


def modes(settings: Mapping[str, Any]) -> dict[str, str]:
    """The places at which ``-v`` and ``--mount`` put something, each with ``-v``'s mode. Raises: UsageError."""
    found = {target: mode for _, target, mode in volumes(settings.get("volumes"))}
    for given in settings.get("mounts") or ():
        found[str((mount(given) if isinstance(given, str) else of_api(given)).get("target", ""))] = ""
    return {posixpath.normpath(target): mode for target, mode in found.items()}


def document(given: str | Mapping[str, Any]) -> dict[str, Any]:
    """A mount as docker's API has it, for inspect. Raises: UsageError."""
    if not isinstance(given, str):
        return dict(given)
    told = mount(given)
    found: dict[str, Any] = {}
    for name, key in ((path, key) for path, key in _API.items() if key in told):
        outer, _, inner = name.partition(".")
        value = _typed(given, key, told[key])
        if inner:
            found.setdefault(outer, {})[inner] = value
        else:
            found[outer] = value
    return found


def _typed(text: str, key: str, value: str) -> Any:
    if key in _FLAGS:
        return truth(text, value)
    if key == "tmpfs-mode":
        return int(value, 8)
    return size_bytes(key, value) if key == "tmpfs-size" else value


def truth(text: object, value: object) -> bool:
    """A flag's value; none at all is true. Raises: UsageError."""
    if isinstance(value, bool):
        return value
    try:
        return _TRUTH[str(value).lower()]
    except KeyError:
        raise UsageError("mount", text, f"{value!r} is neither true nor false") from None
