"""Filters on real processes: each test's child puts one on itself and says what it then may do."""

from __future__ import annotations

import errno
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labcontainer.errors import HostError, SpecError
from labcontainer.kernel import seccomp
from labcontainer.kernel.capabilities import DOCKER_DEFAULT

CHILD = """
import ctypes, json, os, sys
from labcontainer.kernel import process, seccomp

process.prctl(process.Prctl.PR_SET_NO_NEW_PRIVS, 1)
seccomp.load(open(sys.argv[1], "rb").read())
libc = ctypes.CDLL(None, use_errno=True)

def errno_of(*call):
    ctypes.set_errno(0)
    libc.syscall(*map(ctypes.c_long, call))
    return ctypes.get_errno()

print(json.dumps({name: errno_of(*call) for name, call in json.loads(sys.argv[2]).items()}))
"""

# Newer than any policy and any Linux: nobody has this number.
FROM_THE_FUTURE = 0x0FFF0000


@pytest.fixture(autouse=True, scope="module")
def needs_libseccomp() -> None:
    try:
        seccomp.compile({"defaultAction": "SCMP_ACT_ALLOW"})
    except HostError as error:
        pytest.skip(str(error))


def errnos_under(policy: dict[str, Any], directory: Path, calls: dict[str, list[int]]) -> dict[str, int]:
    program = directory / "program.bpf"
    program.write_bytes(seccomp.compile(policy))
    command = [sys.executable, "-c", CHILD, str(program), json.dumps(calls)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, timeout=20).stdout))


def number(name: str) -> int:
    library = importlib.import_module("pyseccomp")
    return int(library.resolve_syscall(library.Arch.NATIVE, name))


def denying(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list(rules)}


def test_a_call_that_the_policy_forbids_fails_with_its_errno(tmp_path: Path) -> None:
    policy = denying(
        {"names": ["getppid"], "action": "SCMP_ACT_ERRNO"},
        {"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV},
    )
    calls = {name: [number(name), 0] for name in ("getppid", "getpgid", "getsid")}
    assert errnos_under(policy, tmp_path, calls) == {"getppid": errno.EPERM, "getpgid": errno.EXDEV, "getsid": 0}


def test_a_rule_looks_at_arguments(tmp_path: Path) -> None:
    three = {"index": 0, "op": "SCMP_CMP_EQ", "value": 3}
    masked = {"index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": 0x10, "valueTwo": 0x10}
    policy = denying(
        {"names": ["umask"], "action": "SCMP_ACT_ERRNO", "args": [three]},
        {"names": ["umask"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV, "args": [masked]},
    )
    calls = {str(value): [number("umask"), value] for value in (3, 4, 0x12)}
    assert errnos_under(policy, tmp_path, calls) == {"3": errno.EPERM, "4": 0, "18": errno.EXDEV}


def test_two_conditions_on_one_argument_are_alternatives(tmp_path: Path) -> None:
    args = [{"index": 0, "op": "SCMP_CMP_EQ", "value": value} for value in (3, 5)]
    policy = denying({"names": ["umask"], "action": "SCMP_ACT_ERRNO", "args": args})
    calls = {str(value): [number("umask"), value] for value in (3, 4, 5)}
    assert errnos_under(policy, tmp_path, calls) == {"3": errno.EPERM, "4": 0, "5": errno.EPERM}


def test_dockers_default_works_and_what_is_newer_than_it_does_not_exist(tmp_path: Path) -> None:
    policy = seccomp.resolve(seccomp.docker_default(), capabilities=[cap.name for cap in DOCKER_DEFAULT])
    calls = {
        "getpid": [number("getpid")],
        "mount": [number("mount"), 0, 0, 0, 0, 0],
        "bpf": [number("bpf"), 0, 0, 0],
        "clone3": [number("clone3"), 0, 0],
        "future": [FROM_THE_FUTURE],
    }
    expected = {"getpid": 0, "mount": errno.EPERM, "bpf": errno.EPERM, "clone3": errno.ENOSYS, "future": errno.ENOSYS}
    assert errnos_under(policy, tmp_path, calls) == expected


def test_a_system_call_that_nobody_knows_is_passed_over() -> None:
    assert seccomp.compile(denying({"names": ["from_the_future"], "action": "SCMP_ACT_ERRNO"}))


@pytest.mark.parametrize(
    "policy",
    [
        {"defaultAction": "SCMP_ACT_MAYBE"},
        denying({"names": ["umask"], "action": "SCMP_ACT_ASK"}),
        denying({"names": ["umask"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "op": "SIMILAR", "value": 1}]}),
        {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"]},
    ],
)
def test_a_word_that_no_policy_has_is_refused(policy: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="unknown"):
        seccomp.compile(policy)


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        ({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}, "defaultErrnoRet"),
        (denying({"names": ["umask"], "action": "SCMP_ACT_KILL", "errnoRet": 1}), r"syscalls\[0\].errnoRet"),
    ],
)
def test_an_errno_for_an_action_that_returns_none_is_refused(policy: dict[str, Any], path: str) -> None:
    with pytest.raises(SpecError, match=f"linux.seccomp.{path}: SCMP_ACT_.* has no errno"):
        seccomp.compile(policy)


def test_what_is_no_part_of_the_program_makes_no_second_one(tmp_path: Path) -> None:
    policy = denying({"names": ["umask"], "action": "SCMP_ACT_ERRNO"})
    for more in ({}, {"flags": ["SECCOMP_FILTER_FLAG_LOG"]}, {"listenerPath": "/x"}):
        seccomp.compile({**policy, **more}, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_compiled_policy_is_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = denying({"names": ["umask"], "action": "SCMP_ACT_ERRNO"})
    program = seccomp.compile(policy, cache=tmp_path / "cache")
    # Importing None fails: what comes back now cannot have been compiled.
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    assert seccomp.compile(policy, cache=tmp_path / "cache") == program
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".bpf"]


def test_a_cache_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    assert seccomp.compile(denying(), cache=tmp_path / "cache") == seccomp.compile(denying())


def test_what_a_killed_compiler_left_is_cleared(tmp_path: Path) -> None:
    policy = denying()
    seccomp.compile(policy, cache=tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.rename(tmp_path / f"{kept.name}.4242")
    seccomp.compile(policy, cache=tmp_path)
    assert list(tmp_path.iterdir()) == [kept]


def test_a_filter_without_privilege_needs_no_new_privs() -> None:
    code = """
import sys
from labcontainer.errors import KernelError
from labcontainer.kernel import capabilities, seccomp
capabilities.capset((), ())
try:
    seccomp.load(bytes.fromhex("06000000 0000ff7f"))
except KernelError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=20)
    assert "EACCES" in done.stdout
    assert "no_new_privs" in done.stdout
