"""Seccomp: which system calls a process may make.

A policy is data (docker's default, or a bundle's ``linux.seccomp``). libseccomp compiles it to a BPF program, once; the
program is kept on disk, and a container's init only hands its bytes to the Linux kernel. Lesson 10 teaches it.
"""

from __future__ import annotations

import enum
import errno
import functools
import hashlib
import json
import os
import platform
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from labcontainer.errors import HostError, SpecError
from labcontainer.kernel.libc import buffer, invoke, pointer_to

_SET_MODE_FILTER = 1
_INSTRUCTION_BYTES = 8
_UNKNOWN_CALL = -1  # __NR_SCMP_ERROR
_ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
_COMPARISONS = {
    "SCMP_CMP_NE": "NE", "SCMP_CMP_LT": "LT", "SCMP_CMP_LE": "LE", "SCMP_CMP_EQ": "EQ", "SCMP_CMP_GE": "GE",
    "SCMP_CMP_GT": "GT", "SCMP_CMP_MASKED_EQ": "MASKED_EQ",
}  # fmt: skip


class FilterFlag(enum.IntFlag):
    """Flags of SECCOMP_SET_MODE_FILTER (``linux/seccomp.h``)."""

    SECCOMP_FILTER_FLAG_TSYNC = 1
    SECCOMP_FILTER_FLAG_LOG = 2
    SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4


def load(bpf: bytes, flags: FilterFlag = FilterFlag(0)) -> None:
    """Put a compiled filter on this process; it can never be taken off, and children inherit it.

    Needs: no_new_privs, or CAP_SYS_ADMIN. Raises: KernelError (EACCES without them). See: man 2 seccomp
    """
    program = buffer(bpf)
    # struct sock_fprog { unsigned short len; struct sock_filter *filter; }
    fprog = buffer(struct.pack("@HP", len(bpf) // _INSTRUCTION_BYTES, pointer_to(program)))
    invoke("seccomp", operation=_SET_MODE_FILTER, flags=flags, args=fprog)


@functools.cache
def docker_default() -> Mapping[str, Any]:
    """Docker's default policy, in docker's format (conditions on capabilities and Linux versions unresolved).

    See: https://docs.docker.com/engine/security/seccomp/
    """
    text = (resources.files("labcontainer.kernel") / "data" / "seccomp-docker.json").read_text()
    return cast(Mapping[str, Any], json.loads(text))


def resolve(policy: Mapping[str, Any], *, capabilities: Iterable[str]) -> dict[str, Any]:
    """A policy in docker's format as a bundle's ``linux.seccomp``: conditions decided for these capabilities and this host.

    See: runtime-spec v1.2.0 config-linux.md#seccomp
    """
    held = frozenset(capabilities)
    machine = _ARCHITECTURES.get(platform.machine(), "")
    rows = [row for row in policy.get("archMap", ()) if row["architecture"] == machine]
    architectures = [machine, *rows[0]["subArchitectures"]] if rows else [machine]
    rules = []
    for rule in policy["syscalls"]:
        if _applies(rule.get("includes") or {}, held) and not _excluded(rule.get("excludes") or {}, held):
            kept = {key: rule[key] for key in ("names", "action", "errnoRet", "args") if rule.get(key)}
            rules.append(kept)
    resolved = {"defaultAction": policy["defaultAction"], "architectures": architectures, "syscalls": rules}
    if policy.get("defaultErrnoRet") is not None:
        resolved["defaultErrnoRet"] = policy["defaultErrnoRet"]
    return resolved


def compile(policy: Mapping[str, Any], *, cache: Path | None = None) -> bytes:
    """A bundle's ``linux.seccomp`` as the BPF program that `load` takes.

    With `cache`, a directory, the program is kept there under a digest of all that it depends on.

    Raises: SpecError (an unknown action or comparison); HostError where libseccomp is missing.
    See: man 3 seccomp_export_bpf, runtime-spec v1.2.0 config-linux.md#seccomp
    """
    if cache is None:
        return _compile(policy)
    depends_on = json.dumps([policy, platform.machine(), platform.release()]).encode()
    kept = cache / f"seccomp-{hashlib.sha256(depends_on).hexdigest()}.bpf"
    try:
        return kept.read_bytes()
    except FileNotFoundError:
        program = _compile(policy)
    cache.mkdir(parents=True, exist_ok=True)
    beside = kept.with_suffix(f".{os.getpid()}")
    beside.write_bytes(program)
    os.replace(beside, kept)
    return program


def _compile(policy: Mapping[str, Any]) -> bytes:
    library = _library()
    action = functools.partial(_action, library)
    program = library.SyscallFilter(action(policy["defaultAction"], policy.get("defaultErrnoRet")))
    for name in policy.get("architectures", ()):
        _add_architecture(library, program, name)
    for rule in policy.get("syscalls", ()):
        wanted = action(rule["action"], rule.get("errnoRet"))
        if wanted == action(policy["defaultAction"], policy.get("defaultErrnoRet")):
            continue  # libseccomp refuses a rule that says what happens anyway
        groups = [
            [_condition(library, argument) for argument in group] for group in _alternatives(rule.get("args") or ())
        ]
        for name in rule["names"]:
            _add_rule(library, program, wanted, name, groups)
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    with open(fd, "rb") as file:
        program.export_bpf(file)
        file.seek(0)
        return file.read()


def _alternatives(arguments: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    # libseccomp takes one condition an argument; policies that name one twice mean alternatives (runc does the same).
    indices = [argument["index"] for argument in arguments]
    if len(set(indices)) < len(indices):
        return [[argument] for argument in arguments]
    return [list(arguments)]


def _add_rule(library: ModuleType, program: Any, action: int, name: str, groups: list[list[Any]]) -> None:
    try:
        for conditions in groups:
            program.add_rule(action, name, *conditions)
    except (ValueError, RuntimeError, OSError):
        if library.resolve_syscall(library.Arch.NATIVE, name) != _UNKNOWN_CALL:
            raise
        # Newer than this libseccomp: runc passes over it as well, and the default action holds for it.


def _add_architecture(library: ModuleType, program: Any, name: str) -> None:
    architecture = getattr(library.Arch, name.removeprefix("SCMP_ARCH_"), None)
    if architecture is None:
        raise SpecError(f"seccomp: unknown architecture {name}")
    if not program.exist_arch(architecture):
        program.add_arch(architecture)


def _condition(library: ModuleType, argument: Mapping[str, Any]) -> Any:
    name = _COMPARISONS.get(argument["op"])
    if name is None:
        raise SpecError(f"seccomp: unknown comparison {argument['op']}")
    operator = getattr(library, name)
    if name == "MASKED_EQ":
        return library.Arg(argument["index"], operator, argument["value"], argument.get("valueTwo", 0))
    return library.Arg(argument["index"], operator, argument["value"])


def _action(library: ModuleType, name: str, code: int | None) -> int:
    plain = {
        "SCMP_ACT_ALLOW": "ALLOW", "SCMP_ACT_KILL": "KILL", "SCMP_ACT_KILL_THREAD": "KILL",
        "SCMP_ACT_KILL_PROCESS": "KILL_PROCESS", "SCMP_ACT_LOG": "LOG", "SCMP_ACT_TRAP": "TRAP",
    }  # fmt: skip
    number = errno.EPERM if code is None else code
    if name == "SCMP_ACT_ERRNO":
        return int(library.ERRNO(number))
    if name == "SCMP_ACT_TRACE":
        return int(library.TRACE(number))
    if name not in plain:
        raise SpecError(f"seccomp: unknown action {name}")
    return int(getattr(library, plain[name]))


def _library() -> ModuleType:
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError) as error:
        remedy = "sudo apt install libseccomp2 (Debian, Ubuntu) or sudo dnf install libseccomp (Fedora)"
        raise HostError("a seccomp filter", remedy, f"libseccomp is missing: {error}") from None
    return cast(ModuleType, pyseccomp)


def _applies(condition: Mapping[str, Any], held: frozenset[str]) -> bool:
    checks: dict[str, Callable[[Any], bool]] = {
        "caps": lambda caps: held.issuperset(caps),
        "arches": lambda arches: _docker_machine() in arches,
        "minKernel": lambda version: _linux_version() >= _version(version),
    }
    return all(check(condition[key]) for key, check in checks.items() if condition.get(key))


def _excluded(condition: Mapping[str, Any], held: frozenset[str]) -> bool:
    checks: dict[str, Callable[[Any], bool]] = {
        "caps": lambda caps: bool(held.intersection(caps)),
        "arches": lambda arches: _docker_machine() in arches,
        "minKernel": lambda version: _linux_version() >= _version(version),
    }
    return any(check(condition[key]) for key, check in checks.items() if condition.get(key))


def _docker_machine() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def _linux_version() -> tuple[int, int]:
    return _version(platform.release())


def _version(text: str) -> tuple[int, int]:
    major, minor, *_ = (*text.split(".", 2), "0")
    return int(major), int("".join(digit for digit in minor if digit.isdigit()) or 0)
