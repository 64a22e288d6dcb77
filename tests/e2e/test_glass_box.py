"""The glass box does not lie: what the engine's trace tells is what strace sees, call by call, process by process."""

from __future__ import annotations

import json
import linecache
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from labcontainer.kernel.trace import Event, Role
from tests import strace, witnessed
from tests.needs import OTHER_RUN, require_program
from tests.strace import Line
from tests.witnessed import Call

REPOSITORY = Path(__file__).parents[2]
NAMES = (
    "ordinary", "terminal", "bound", "privileged", "missing source", "missing command", "no program", "no directory",
    "reaped", "exec", "by hand",
)  # fmt: skip


@dataclass(frozen=True)
class Account:
    """Both accounts of one recording: the trace's events, and strace's lines from its beginning to its end."""

    error: str | None
    events: tuple[Event, ...]
    lines: tuple[Line, ...]

    @property
    def helpers(self) -> set[int]:
        """The processes in which ldconfig was run."""
        return {line.pid for line in self.lines if line.call == "execve" and line.text.startswith('"/sbin/ldconfig"')}

    @property
    def parents(self) -> dict[int, int]:
        """The parent of each process that was born. What a container's command forks is no business of the trace."""
        commands: set[int] = set()
        found: dict[int, int] = {}
        for line in self.lines:
            if line.call == "execve" and not line.errno:
                commands.add(line.pid)
            if line.born and line.pid not in commands:
                found[line.born] = line.pid
        return found

    def of(self, pid: int) -> tuple[list[Line], list[Event]]:
        return [line for line in self.lines if line.pid == pid], [event for event in self.events if event.pid == pid]


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory, starter_images: Path) -> dict[str, Account]:
    """Everything in `tests.traced`, run once under strace."""
    tracer = require_program("strace")
    home = tmp_path_factory.mktemp("g")
    (home / "root").mkdir()
    for shared in ("images", "layers"):
        (starter_images / shared).mkdir(exist_ok=True)
        (home / "root" / shared).symlink_to(starter_images / shared)
    watch = ["-f", "-v", "-s", "65536", "--decode-pids=pidns", "-o", str(home / "log")]
    command = [str(tracer), *watch, sys.executable, "-m", "tests.traced", str(home)]
    # A set-user-ID program has no privilege under strace: without newuidmap in sight a single id is mapped.
    environment = {**os.environ, **({"PATH": "/nowhere"} if os.geteuid() != 0 else {})}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    lines = strace.read((home / "log").read_text())
    return {
        name: Account(said["error"], tuple(Event.from_json(event) for event in said["events"]), _between(lines, name))
        for name, said in told.items()
    }


def _between(lines: Sequence[Line], name: str) -> tuple[Line, ...]:
    first, last = (
        next(place for place, line in enumerate(lines) if f'"/{word} {name}"' in line.text) for word in ("begin", "end")
    )
    return tuple(lines[first + 1 : last])


@pytest.fixture(params=NAMES)
def account(request: pytest.FixtureRequest, accounts: dict[str, Account]) -> Account:
    return accounts[request.param]


def test_the_trace_tells_what_strace_sees_and_nothing_else(account: Account, request: pytest.FixtureRequest) -> None:
    if os.geteuid() != 0 and "[exec]" in request.node.name:
        # Who joins a container is not dumpable, and an ordinary user's strace cannot read its structures.
        pytest.skip(OTHER_RUN + "as root")
    for pid in dict.fromkeys(event.pid for event in account.events):
        lines, events = account.of(pid)
        container = events[0].role in (Role.INIT, Role.CHILD)
        seen, told = list(witnessed.seen(lines, container=container)), list(witnessed.told(events))
        deeds = witnessed.without_helpers(witnessed.deeds(seen), account.helpers)
        assert _readable(witnessed.deeds(told)) == _readable(deeds), events[0].role
        read = iter(_readable(witnessed.reads(seen)))
        told_reads = _readable(witnessed.reads(told))
        assert all(call in read for call in told_reads), "a file was not read that the trace says was"


def _readable(calls: Iterable[Call]) -> list[Call]:
    """What an ordinary user's strace can tell: of a process that is not dumpable any more, names and results alone."""
    found, dumpable = [], True
    for call in calls:
        found.append(call if dumpable or os.geteuid() == 0 else call._replace(arguments=()))
        if call.name == "prctl" and "PR_SET_DUMPABLE" in str(call.arguments):
            dumpable = False
    return found


def test_every_process_that_strace_sees_is_told_of(account: Account) -> None:
    told = {event.pid for event in account.events if event.role not in (Role.ENGINE, Role.ZYGOTE)}
    assert set(account.parents) - account.helpers == told


def test_a_role_is_that_of_the_process(account: Account) -> None:
    roles = {event.pid: event.role for event in account.events}
    assert len({(event.pid, event.role) for event in account.events}) == len(roles), "a process has two roles"
    ancestry = {(roles[parent], roles[pid]) for pid, parent in account.parents.items() if pid in roles}
    assert ancestry <= {("zygote", "monitor"), ("monitor", "init"), ("init", "child"), ("engine", "child")}


def test_every_call_has_its_reason_and_its_line(account: Account) -> None:
    for event in account.events:
        assert event.why, event
        assert linecache.getline(event.file, event.line).strip(), event
        assert "/labcontainer/" in event.file or event.file.endswith("/tests/traced.py"), event


def test_a_child_begins_after_its_birth(account: Account) -> None:
    begins: dict[int, int] = {}
    for event in account.events:
        begins.setdefault(event.pid, event.start_ns)
    births = [event for event in account.events if event.call in ("fork", "clone3") and event.role != "init"]
    assert all(birth.start_ns < begins[birth.result] for birth in births if birth.result is not None)


@pytest.mark.parametrize(
    ("name", "error", "failed"),
    [
        ("missing source", "open_tree", [("open_tree", "ENOENT")]),
        ("missing command", "not found in PATH", []),
        ("no program", "cannot be executed", [("execve", "ENOEXEC")]),
        ("no directory", "chdir", [("chdir", "ENOTDIR")]),
    ],
)
def test_what_fails_is_told_with_its_errno(
    accounts: dict[str, Account], name: str, error: str, failed: list[tuple[str, str]]
) -> None:
    account = accounts[name]
    assert error in (account.error or "")
    refused = [(event.call, event.errno) for event in account.events if event.errno and event.role == "init"]
    if os.geteuid() != 0:
        # With a single id mapped there is no group to leave, which is found out by trying.
        refused = [each for each in refused if each != ("setgroups", "EPERM")]
    assert refused == failed
