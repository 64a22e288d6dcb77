"""A compiled policy: made once, kept as a file, handed to the Linux kernel in the way that the policy asks for."""

from __future__ import annotations

import contextlib
import enum
import hashlib
import json
import os
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainer.errors import SpecError
from labcontainer.kernel.libc import Buffer, invoke

_INSTRUCTION_BYTES = 8

# Part of every kept program's name: whoever changes how programs are made counts it up.
_MADE_BY = 2
_OF_LOADING = ("flags", "listenerPath", "listenerMetadata")


class Operation(enum.IntEnum):
    """What seccomp(2) is asked to do (``linux/seccomp.h``)."""

    SECCOMP_SET_MODE_FILTER = 1


class FilterFlag(enum.IntFlag):
    """Flags of SECCOMP_SET_MODE_FILTER (``linux/seccomp.h``)."""

    SECCOMP_FILTER_FLAG_TSYNC = 1
    SECCOMP_FILTER_FLAG_LOG = 2
    SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4
    SECCOMP_FILTER_FLAG_NEW_LISTENER = 8
    SECCOMP_FILTER_FLAG_TSYNC_ESRCH = 16
    SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 32


# Those that a policy may ask for; the other two follow from what it says.
_FOR_POLICIES = (
    FilterFlag.SECCOMP_FILTER_FLAG_TSYNC,
    FilterFlag.SECCOMP_FILTER_FLAG_LOG,
    FilterFlag.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    FilterFlag.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
)


@dataclass(frozen=True, slots=True)
class Loading:
    """What a policy says besides its rules: how its program is loaded, and who answers its notifications.

    `listener_path` is the socket of an agent, a process that answers in the Linux kernel's place the calls for which
    the policy says SCMP_ACT_NOTIFY; `listener_metadata` is a text for it.
    """

    flags: FilterFlag
    listener_path: str | None = None
    listener_metadata: str | None = None

    @classmethod
    def from_json(cls, policy: Mapping[str, Any]) -> Loading:
        """Read and check that part of a bundle's ``linux.seccomp``.

        Raises: SpecError. See: runtime-spec v1.2.0 config-linux.md#seccomp
        """
        flags, known = FilterFlag(0), {flag.name: flag for flag in _FOR_POLICIES}
        for name in policy.get("flags") or ():
            if name not in known:
                raise SpecError(f"linux.seccomp.flags: unknown flag {name}; choose from {', '.join(map(str, known))}")
            flags |= known[name]
        path, metadata = policy.get("listenerPath"), policy.get("listenerMetadata")
        if metadata and not path:
            raise SpecError("linux.seccomp.listenerMetadata: without a listenerPath nobody would read it")
        if not any(rule["action"] == "SCMP_ACT_NOTIFY" for rule in policy.get("syscalls") or ()):
            return cls(flags)
        if not path:
            raise SpecError("linux.seccomp.listenerPath: SCMP_ACT_NOTIFY needs the socket of an agent that answers")
        flags |= FilterFlag.SECCOMP_FILTER_FLAG_NEW_LISTENER
        if FilterFlag.SECCOMP_FILTER_FLAG_TSYNC in flags:
            # One result cannot be both a descriptor and the thread that could not be synchronised.
            flags |= FilterFlag.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
        return cls(flags, path, metadata)


def load(bpf: bytes, flags: FilterFlag = FilterFlag(0)) -> int:
    """Put a compiled filter on this thread; it can never be taken off, and children inherit it.

    Needs: no_new_privs, or CAP_SYS_ADMIN; Linux 5.0 for SECCOMP_FILTER_FLAG_NEW_LISTENER.
    Returns: with that flag a descriptor, which is close-on-exec. Raises: KernelError (EACCES: neither of the two;
    EINVAL: flags that this Linux does not know). See: man 2 seccomp
    """
    program, count = Buffer(bpf), len(bpf) // _INSTRUCTION_BYTES
    # struct sock_fprog { unsigned short len; struct sock_filter *filter; }
    fprog = Buffer(struct.pack("@HP", count, program.address), len=count)
    return invoke("seccomp", operation=Operation.SECCOMP_SET_MODE_FILTER, flags=flags, args=fprog)


def compile(policy: Mapping[str, Any], *, cache: Path | None = None) -> bytes:
    """A bundle's ``linux.seccomp`` as the BPF program that `load` takes.

    With `cache`, a directory, the program is kept there under a digest of all that it depends on: libseccomp needs some
    15 ms for docker's policy, reading its result a tenth of one.

    Raises: SpecError (the JSON path of what is wrong); HostError where libseccomp is missing.
    See: man 3 seccomp_export_bpf, runtime-spec v1.2.0 config-linux.md#seccomp
    """
    if cache is None:
        return _compile(policy)
    kept = cache / f"seccomp-{_digest(policy)}.bpf"
    try:
        return kept.read_bytes()
    except OSError:
        program = _compile(policy)
    # A full or read-only disk costs the next start those milliseconds, and must not stop this one.
    with contextlib.suppress(OSError):
        _keep(kept, program)
    return program


def _compile(policy: Mapping[str, Any]) -> bytes:
    # Only a policy that is new here pays for these modules.
    from labcontainer.kernel.seccomp import library
    from labcontainer.kernel.seccomp.policy import Policy

    return library.compile(Policy.from_json(policy))


def _digest(policy: Mapping[str, Any]) -> str:
    rules = {key: value for key, value in policy.items() if key not in _OF_LOADING}
    depends_on = [_MADE_BY, rules, os.uname().machine, os.uname().release, _libseccomp_file()]
    return hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()


def _libseccomp_file() -> tuple[int, int] | None:
    # Asking libseccomp for its version would mean to load it; that its file is another one says as much.
    machine = os.uname().machine
    for directory in (f"/usr/lib/{machine}-linux-gnu", "/usr/lib64", "/usr/lib", f"{sys.prefix}/lib"):
        with contextlib.suppress(OSError):
            found = os.stat(f"{directory}/libseccomp.so.2")
            return found.st_size, found.st_mtime_ns
    return None


def _keep(path: Path, program: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # What a killed process left. Should somebody be writing this very moment, its rename fails, and ours serves both.
    for litter in path.parent.glob(f"{path.name}.*"):
        litter.unlink(missing_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    with open(beside, "wb") as file:
        file.write(program)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
