"""Filters in containers: what a policy says is what the Linux kernel does, and what runc makes of the same bundle."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib
import json
import os
import platform
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from labcontainer.engine.container import Container
from labcontainer.errors import InitError
from labcontainer.kernel import seccomp
from labcontainer.kernel.capabilities import DOCKER_DEFAULT
from labcontainer.kernel.overlay import Overlay
from tests.needs import Needs

if TYPE_CHECKING:
    from labcontainer.engine import Engine

Calls = Mapping[str, list[Any]]

# Makes each call and prints the name of its errno, "" for success.
PROBE = """
import ctypes, errno, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def errno_of(number, *arguments):
    ctypes.set_errno(0)
    converted = [a.encode() if isinstance(a, str) else ctypes.c_ulong(a) for a in arguments]
    failed = libc.syscall(ctypes.c_long(number), *converted) == -1
    return errno.errorcode[ctypes.get_errno()] if failed else ""
print(json.dumps({name: errno_of(*call) for name, call in json.loads(sys.argv[1]).items()}))
"""
# getpid of 32-bit Linux, by the instruction that 32-bit programs use: mov eax, 20; int 0x80; ret
THIRTY_TWO_BITS = """
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("b814000000 cd80 c3"))
address = ctypes.addressof(ctypes.c_char.from_buffer(code))
print(ctypes.CFUNCTYPE(ctypes.c_int)(address)() > 0)
"""
CLONE_NEWUSER, ADDR_NO_RANDOMIZE = 0x10000000, 0x0040000
FORBIDDEN: Calls = {
    "keyctl": [0, -3, 0],  # KEYCTL_GET_KEYRING_ID of this session's
    "unshare": [CLONE_NEWUSER],
    "mount": ["none", "/no/such/directory", "tmpfs", 0, 0],
    "personality": [ADDR_NO_RANDOMIZE],  # docker's policy looks at the argument
}
DOCKERS = seccomp.resolve(seccomp.docker_default(), capabilities=[cap.name for cap in DOCKER_DEFAULT])


def number(name: str) -> int:
    library = importlib.import_module("pyseccomp")
    return int(library.resolve_syscall(library.Arch.NATIVE, name))


def probing(calls: Calls) -> list[str]:
    numbered = {name: [number(name.partition(" ")[0]), *arguments] for name, arguments in calls.items()}
    return ["python3", "-c", PROBE, json.dumps(numbered)]


def errnos(engine: Engine, calls: Calls, **options: Any) -> dict[str, str]:
    said: bytes = engine.containers.run("lab/python", probing(calls), remove=True, **options)
    return dict(json.loads(said))


def rule(*names: str, action: str = "SCMP_ACT_ERRNO", **more: object) -> dict[str, object]:
    return {"names": list(names), "action": action, **more}


def denying(*rules: dict[str, object], **more: object) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list(rules), **more}


def when(index: int, op: str, value: int, two: int = 0) -> dict[str, object]:
    return {"index": index, "op": f"SCMP_CMP_{op}", "value": value, "valueTwo": two}


# -- docker's policy


def test_what_dockers_policy_forbids_the_filter_forbids_and_nothing_else_does(engine: Engine) -> None:
    assert errnos(engine, FORBIDDEN) == dict.fromkeys(FORBIDDEN, "EPERM")
    # The same process with the same capabilities: only the filter is gone.
    without = {"keyctl": "", "unshare": "", "mount": "ENOENT", "personality": ""}
    assert errnos(engine, FORBIDDEN, seccomp=False) == without


def test_a_capability_opens_the_calls_that_belong_to_it_and_no_others(engine: Engine) -> None:
    granted = errnos(engine, FORBIDDEN, cap_add=["SYS_ADMIN"])
    assert granted == {"keyctl": "EPERM", "unshare": "", "mount": "ENOENT", "personality": "EPERM"}
    # reboot(2) without its magic numbers does nothing but fail.
    assert errnos(engine, {"reboot": [0, 0, 0, 0]}) == {"reboot": "EPERM"}
    assert errnos(engine, {"reboot": [0, 0, 0, 0]}, cap_add=["SYS_BOOT"]) == {"reboot": "EINVAL"}


def test_no_new_privileges_loads_the_same_filter(engine: Engine) -> None:
    assert errnos(engine, FORBIDDEN, no_new_privileges=True) == dict.fromkeys(FORBIDDEN, "EPERM")


def test_a_privileged_container_has_the_filter_that_somebody_chose(engine: Engine) -> None:
    calls = {"keyctl": [0, -3, 0]}
    assert errnos(engine, calls, privileged=True) == {"keyctl": ""}
    chosen = denying(rule("keyctl", errnoRet=errno.EXDEV))
    assert errnos(engine, calls, privileged=True, seccomp=chosen) == {"keyctl": "EXDEV"}


def test_what_is_executed_in_a_container_is_filtered_too(engine: Engine) -> None:
    container = engine.containers.run("lab/python", ["sleep", "60"], detach=True)
    try:
        said = container.exec_run(probing(FORBIDDEN)).output
        assert isinstance(said, bytes)
        assert json.loads(said) == dict.fromkeys(FORBIDDEN, "EPERM")
    finally:
        container.remove(force=True)


# -- every field of a policy, beside runc

POLICIES: dict[str, tuple[dict[str, Any], Calls, dict[str, str]]] = {
    "the default's errno": (
        {**DOCKERS, "defaultErrnoRet": errno.ENODATA},
        {"keyctl": [0, -3, 0], "getpgrp": []},
        {"keyctl": "ENODATA", "getpgrp": ""},
    ),
    "a rule's errno": (
        denying(rule("getpgrp"), rule("alarm", errnoRet=errno.EXDEV), rule("keyctl", errnoRet=0)),
        {"getpgrp": [], "alarm": [0], "keyctl": [1 << 20]},
        {"getpgrp": "EPERM", "alarm": "EXDEV", "keyctl": ""},
    ),
    "conditions": (
        denying(
            rule("umask", args=[when(0, "EQ", 0o11)]),
            rule("getpgid", args=[when(0, "GT", 5 << 32)]),
            rule("getsid", args=[when(0, "GE", 7)]),
            rule("alarm", args=[when(0, "LT", 1)]),
            rule("dup", args=[when(0, "LE", 500)]),
            rule("close", args=[when(0, "MASKED_EQ", 0xFF00, 0x4200)]),
            rule("getpriority", args=[when(0, "EQ", 1), when(1, "NE", 0)]),
            rule("setpriority", args=[when(0, "EQ", 8), when(0, "EQ", 9)]),
        ),
        {
            "umask 11": [0o11], "umask 12": [0o12], "getpgid above": [6 << 32], "getpgid at": [5 << 32],
            "getsid 7": [7], "getsid 0": [0], "alarm 0": [0], "alarm 900": [900], "dup 500": [500], "dup 501": [501],
            "close in": [0x4242], "close out": [0x4342], "getpriority both": [1, 5], "getpriority one": [1, 0],
            "setpriority either": [9], "setpriority neither": [7],
        },
        {
            "umask 11": "EPERM", "umask 12": "", "getpgid above": "EPERM", "getpgid at": "",
            "getsid 7": "EPERM", "getsid 0": "", "alarm 0": "EPERM", "alarm 900": "", "dup 500": "EPERM",
            "dup 501": "EBADF", "close in": "EPERM", "close out": "EBADF", "getpriority both": "EPERM",
            "getpriority one": "", "setpriority either": "EPERM", "setpriority neither": "EINVAL",
        },
    ),
    "what is only logged": (
        denying(rule("getpgrp", action="SCMP_ACT_LOG")),
        {"getpgrp": []},
        {"getpgrp": ""},
    ),
    "a tracer that is not there": (
        denying(rule("getpgrp", action="SCMP_ACT_TRACE", errnoRet=5)), {"getpgrp": []}, {"getpgrp": "ENOSYS"}
    ),
    "calls that nobody knows": (denying(rule("from_the_future", "getpgrp")), {"getpgrp": []}, {"getpgrp": "EPERM"}),
}  # fmt: skip


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_does_what_it_says(engine: Engine, name: str) -> None:
    policy, calls, expected = POLICIES[name]
    assert errnos(engine, calls, seccomp=policy) == expected


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize("name", POLICIES)
def test_runc_does_the_same_with_the_same_bundle(engine: Engine, needs: Needs, tmp_path: Path, name: str) -> None:
    policy, calls, expected = POLICIES[name]
    container = engine.containers.create("lab/python", probing(calls), seccomp=policy)
    done = run_by_runc(engine, container, needs("runc"), tmp_path)
    assert json.loads(done.stdout or "null") == expected, done.stderr


@pytest.mark.usefixtures("needs_root")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="belongs to another run: on x86-64")
@pytest.mark.parametrize(("more", "status"), [([], 159), (["SCMP_ARCH_X86", "SCMP_ARCH_X32"], 0)])
def test_an_architecture_that_the_policy_does_not_name_is_not_there(
    engine: Engine, needs: Needs, tmp_path: Path, more: list[str], status: int
) -> None:
    policy = denying(rule("getpgrp"), architectures=["SCMP_ARCH_X86_64", *more])
    program = ["python3", "-c", THIRTY_TWO_BITS]
    container = engine.containers.create("lab/python", program, seccomp=policy)
    assert run_by_runc(engine, container, needs("runc"), tmp_path).returncode == status
    container = engine.containers.run("lab/python", program, seccomp=policy, detach=True)
    assert container.wait(timeout=60) == {"StatusCode": status}
    container.remove()


@pytest.mark.parametrize("action", ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"])
def test_a_deadly_rule_ends_the_process_by_sigsys(engine: Engine, action: str) -> None:
    policy = denying(rule("getpgrp", action=action))
    container = engine.containers.run("lab/python", probing({"getpgrp": []}), seccomp=policy, detach=True)
    assert container.wait(timeout=60) == {"StatusCode": 159}
    container.remove()


@pytest.mark.parametrize(
    "flag", ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"]
)
def test_a_flag_reaches_the_linux_kernel(engine: Engine, flag: str) -> None:
    with engine.trace() as trace:
        engine.containers.run("lab/base", "true", remove=True, seccomp=denying(rule("keyctl"), flags=[flag]))
    (loaded,) = (event for event in trace.events if event.call == "seccomp")
    assert dict(loaded.arguments)["flags"] == flag
    assert loaded.errno is None


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (denying(flags=["SECCOMP_FILTER_FLAG_WINGS"]), "unknown flag SECCOMP_FILTER_FLAG_WINGS"),
        (denying(rule("umask", action="SCMP_ACT_NOTIFY")), "listenerPath"),
        (denying(rule("umask", action="SCMP_ACT_NOTIFY"), listenerPath="/no/agent"), "/no/agent does not answer"),
        (denying(rule("umask", action="SCMP_ACT_KILL", errnoRet=1)), "no errno to return"),
    ],
)
def test_a_policy_that_cannot_be_kept_starts_no_container(engine: Engine, policy: dict[str, Any], said: str) -> None:
    with pytest.raises(InitError, match=said):
        engine.containers.run("lab/base", "true", remove=True, seccomp=policy)


def run_by_runc(engine: Engine, container: Container, runc: Path, place: Path) -> subprocess.CompletedProcess[str]:
    """Run the bundle of `container` by runc, which does not mount overlays, and remove the container."""
    try:
        image = engine.images.get("lab/python")
        for name in ("upper", "work"):
            (place / name).mkdir(exist_ok=True)
        overlay = Overlay(engine.snapshots.lowerdirs(image, engine.store), place / "upper", place / "work")
        # The mount namespace takes the overlay with it when the shell ends.
        script = 'mount -t overlay overlay -o "$1" "$2/rootfs" && exec "$3" --root "$4" run -b "$2" lab-seccomp'
        arguments = [overlay.options(), container.directory, runc, place / "runc"]
        command = ["unshare", "-m", "sh", "-c", script, "sh", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    finally:
        container.remove(force=True)


# -- agents


class Agent(threading.Thread):
    """Answers every notification with one errno, until the container has ended."""

    # struct seccomp_notif {u64 id; u32 pid, flags; {s32 nr; u32 arch; u64 ip, args[6];} data;}, and its answer
    NOTIFICATION, ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
    RECEIVE, SEND = 0xC0502100, 0xC0182101

    def __init__(self, path: Path, answer: int) -> None:
        super().__init__(daemon=True)
        self.states: list[dict[str, Any]] = []
        self.asked: list[int] = []
        self._answer = answer
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen()
        self._socket.settimeout(60)

    def run(self) -> None:
        connection, _ = self._socket.accept()
        with self._socket, connection:
            # All in one message; runc leaves the connection open for as long as the container runs.
            data, (listener,), _, _ = socket.recv_fds(connection, 65536, 1)
        self.states.append(json.loads(data))
        with contextlib.suppress(OSError):
            while True:
                self._serve(listener)
        os.close(listener)

    def _serve(self, listener: int) -> None:
        notification = fcntl.ioctl(listener, self.RECEIVE, bytes(self.NOTIFICATION.size))  # ENOENT: all have ended
        id, _, _, nr, *_ = self.NOTIFICATION.unpack(notification)
        self.asked.append(nr)
        fcntl.ioctl(listener, self.SEND, self.ANSWER.pack(id, 0, -self._answer, 0))


@pytest.fixture
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Agent, Path]]:
    path = tmp_path_factory.mktemp("a") / "agent.sock"
    agent = Agent(path, errno.EXDEV)
    agent.start()
    yield agent, path
    agent.join(timeout=60)
    assert not agent.is_alive()


ASKING: Calls = {"mkdir": ["/asked", 0o755], "rmdir": ["/not/asked"]}
ANSWERED = {"mkdir": "EXDEV", "rmdir": "ENOENT"}


def asking(path: Path, **more: object) -> dict[str, Any]:
    return denying(rule("mkdir", action="SCMP_ACT_NOTIFY"), listenerPath=str(path), listenerMetadata="for you", **more)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="belongs to another run: on x86-64")  # where mkdir is a call
@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_an_agent_answers_in_the_linux_kernels_place(
    engine: Engine, agent: tuple[Agent, Path], no_new_privileges: bool
) -> None:
    answering, path = agent
    policy = asking(path, flags=["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"])
    container = engine.containers.create(
        "lab/python", probing(ASKING), seccomp=policy, no_new_privileges=no_new_privileges, labels={"colour": "red"}
    )
    container.start()
    assert container.wait(timeout=60) == {"StatusCode": 0}
    assert json.loads(container.logs()) == ANSWERED
    (said,) = answering.states
    # More than the one that we made: Python would like to keep what it compiles.
    assert set(answering.asked) == {number("mkdir")}
    assert (said["fds"], said["metadata"]) == (["seccompFd"], "for you")
    state = said["state"]
    assert (state["id"], state["bundle"], state["pid"]) == (container.id, str(container.directory), said["pid"])
    assert (state["status"], state["annotations"]["colour"]) == ("creating", "red")
    container.remove()


@pytest.mark.usefixtures("needs_root")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="belongs to another run: on x86-64")
def test_runc_tells_an_agent_the_same(engine: Engine, needs: Needs, agent: tuple[Agent, Path], tmp_path: Path) -> None:
    answering, path = agent
    container = engine.containers.create("lab/python", probing(ASKING), seccomp=asking(path))
    done = run_by_runc(engine, container, needs("runc"), tmp_path)
    assert json.loads(done.stdout or "null") == ANSWERED, done.stderr
    (said,) = answering.states
    assert said["fds"] == ["seccompFd"]
    assert said["metadata"] == "for you"
    assert said.keys() - {"ociVersion"} == {"fds", "pid", "metadata", "state"}
    assert said["state"].keys() >= {"ociVersion", "id", "status", "pid", "bundle"}
