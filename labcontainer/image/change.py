"""``--change``: one instruction of a Dockerfile, applied to what an image starts with.

    >>> change.apply(Execution(), 'ENV GREETING="hello there" LANG=C')
    Execution(…, env=('GREETING=hello there', 'LANG=C'), …)

    CMD, ENTRYPOINT      ["a", "b"], or words for a shell
    ENV, LABEL           key=value …, or key value
    EXPOSE               80 53/udp
    VOLUME               /data …, or ["/data"]
    USER, WORKDIR, STOPSIGNAL, ONBUILD

See: https://docs.docker.com/reference/cli/docker/container/commit/ (--change)
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import replace

from labcontainer.errors import UsageError
from labcontainer.oci.image_config import Execution

_SHELL = ("/bin/sh", "-c")
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)


def apply_all(execution: Execution, instructions: Iterable[str]) -> Execution:
    """`execution` after all `instructions`, in order. Raises: UsageError."""
    for instruction in instructions:
        execution = apply(execution, instruction)
    return execution


def apply(execution: Execution, instruction: str) -> Execution:
    """`execution` after one `instruction`. Raises: UsageError (unknown, or not as it should be written)."""
    name, _, rest = instruction.strip().partition(" ")
    act = _INSTRUCTIONS.get(name.upper())
    if act is None:
        raise UsageError("change", instruction, f"the instructions are {', '.join(sorted(_INSTRUCTIONS))}")
    if not rest.strip():
        raise UsageError("change", instruction, f"{name.upper()} needs an argument")
    try:
        return act(execution, rest.strip())
    except ValueError as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError("change", instruction, str(error).lower()) from None


def _cmd(execution: Execution, rest: str) -> Execution:
    return replace(execution, cmd=_command(execution, rest))


def _entrypoint(execution: Execution, rest: str) -> Execution:
    return replace(execution, entrypoint=_command(execution, rest))


def _env(execution: Execution, rest: str) -> Execution:
    known = dict(each.partition("=")[::2] for each in execution.env)
    return replace(execution, env=tuple(f"{key}={value}" for key, value in {**known, **_pairs(rest)}.items()))


def _label(execution: Execution, rest: str) -> Execution:
    return replace(execution, labels={**execution.labels, **_pairs(rest)})


def _expose(execution: Execution, rest: str) -> Execution:
    ports = dict(execution.exposed_ports)
    for word in rest.split():
        found = _PORT.fullmatch(word)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not found or not 0 < first <= last <= 65535:
            raise UsageError("change", f"EXPOSE {word}", "a port is a number up to 65535, with /tcp, /udp or /sctp")
        ports.update({f"{port}/{(found[3] or 'tcp').lower()}": {} for port in range(first, last + 1)})
    return replace(execution, exposed_ports=ports)


def _volume(execution: Execution, rest: str) -> Execution:
    paths = _json(rest) or tuple(rest.split())
    return replace(execution, volumes={**execution.volumes, **{path: {} for path in paths}})


def _user(execution: Execution, rest: str) -> Execution:
    return replace(execution, user=rest)


def _workdir(execution: Execution, rest: str) -> Execution:
    place = posixpath.normpath(posixpath.join("/", execution.working_dir or "/", *shlex.split(rest)))
    return replace(execution, working_dir=place)


def _stop_signal(execution: Execution, rest: str) -> Execution:
    return replace(execution, stop_signal=rest)


def _on_build(execution: Execution, rest: str) -> Execution:
    return replace(execution, on_build=(*execution.on_build, rest))


_INSTRUCTIONS: dict[str, Callable[[Execution, str], Execution]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "LABEL": _label,
    "ONBUILD": _on_build,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}


def _command(execution: Execution, rest: str) -> tuple[str, ...]:
    # As docker does: what is no JSON array of strings is for the shell.
    words = _json(rest)
    return words if words is not None else (*(execution.shell or _SHELL), rest)


def _json(rest: str) -> tuple[str, ...] | None:
    try:
        words = json.loads(rest)
    except ValueError:
        return None
    return tuple(words) if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def _pairs(rest: str) -> dict[str, str]:
    words = shlex.split(rest)
    if "=" not in words[0]:  # the old form, one pair: ENV key the rest is the value
        key, _, value = rest.partition(" ")
        if not value.strip():
            raise ValueError(f"{key} needs a value")
        return {key: value.strip()}
    pairs = dict(word.partition("=")[::2] for word in words if "=" in word)
    if len(pairs) != len(words) or "" in pairs:
        raise ValueError("expected key=value …")
    return pairs
