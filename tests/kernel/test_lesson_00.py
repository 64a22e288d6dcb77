"""The judges of lesson 00: each misconception is named, by what the Linux kernel says, and what works passes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labcontainer.lessons import Lab, child
from labcontainer.lessons.child import Child

pytestmark = pytest.mark.usefixtures("needs_userns")

# As the cell of the exercise has it; in between stands what the student makes of `answer`.
GUARD = """
import os
from labcontainer.lessons import daemon
def answer(path, caller):
    {body}
    return "welcome"
daemon.serve("guard.sock", answer, mode=0o666)
{after}
"""
REFUSE = "raise PermissionError('not for you')"

Start = Callable[..., Child]


@pytest.fixture
def lab(
    tmp_path_factory: pytest.TempPathFactory, starter_images: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Lab]:
    home = tmp_path_factory.mktemp("l")
    for name in ("ROOT", "RUN"):
        monkeypatch.setenv(f"LABCONTAINER_{name}", str(home / name.lower()))
    monkeypatch.setenv("LAB_STUDENT", "ada")
    lab = Lab("00")
    for shared in ("images", "layers"):
        (starter_images / shared).mkdir(exist_ok=True)
        (lab.root / shared).symlink_to(starter_images / shared)
    monkeypatch.chdir(lab.directory)
    yield lab
    lab.close()


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a cell's code as ``%%child --keep`` does; at the end all of them are ended."""
    kept: list[Child] = []

    def keep(source: str, *, root: bool = False) -> Child:
        kept.append(child.start(source, output=print, keep="kept", root=root))
        return kept[-1]

    yield keep
    for each in kept:
        each.end()


def test_a_process_is_greeted_by_the_name_that_the_kernel_has_for_it(lab: Lab, start: Start) -> None:
    name = lab.student.pick("00", "hello.name", ("badger", "beaver", "falcon", "lynx", "otter", "raven"))
    rename = "open('/proc/self/comm', 'w').write('{}')".format
    assert lab.check("hello", start(rename(name)))
    assert "now calls it `nobody`" in lab.check("hello", start(rename("nobody"))).text
    assert "A variable in Python" in lab.check("hello", start(f"name = '{name}'")).text


def test_a_container_is_judged_by_its_process_and_its_own_host_name(lab: Lab) -> None:
    hint = lab._parameters("container", lab._exercise("container"))
    name, hostname = hint["name"], hint["hostname"]
    run = lab.engine.containers.run
    assert "no container called" in lab.check("container").text

    run("lab/base", "true", name=name)
    ended = lab.check("container").text
    assert "it does not run" in ended
    assert f"lab rm {name}" in ended
    lab.reset()

    run("lab/base", "sleep 60", name=name, detach=True)
    assert "known to the engine, the host name to the Linux kernel" in lab.check("container").text
    lab.reset()

    run("lab/base", "sleep 60", name=name, hostname=hostname, detach=True)
    assert lab.check("container")


@pytest.mark.parametrize(
    ("body", "after", "misconception"),
    [
        ("pass", "", "was served, too. Everybody may come"),
        (f"if '{{user}}' not in path and caller.uid != {{user}}: {REFUSE}", "", "for saying to be user {user}"),
        (f"if caller.gid != {{user}}: {REFUSE}", "", "a group of that user has the number"),
        (f"if caller.uid not in (0, {{user}}): {REFUSE}", "", "root was served"),
        (f"if caller.uid != '{{user}}': {REFUSE}", "", "a text is never equal to a number"),
        ("pass", "os.chmod('guard.sock', 0o600)", "does not get as far as your daemon: [Errno 13]"),
        ("pass", "os.remove('guard.sock')", "there is no socket `guard.sock`"),
        (f"if caller.uid != {{user}}: {REFUSE}", "", ""),
        (f"if caller.uid != {{user}}: {REFUSE}", "os.chmod('guard.sock', 0o777)", ""),
    ],
)
def test_a_guard_is_judged_by_whom_it_serves(
    lab: Lab, start: Start, body: str, after: str, misconception: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("needs_root" if os.geteuid() == 0 else "needs_subids")
    user = lab._parameters("guard", lab._exercise("guard"))["user"]
    verdict = lab.check("guard", start(GUARD.format(body=body.format(user=user), after=after), root=True))
    assert verdict.passed == (not misconception), verdict
    assert misconception.format(user=user) in verdict.text


def test_a_machine_without_other_users_is_not_blamed_on_the_student(
    lab: Lab, start: Start, needs_ordinary_user: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # where there is no newuidmap
    assert "this machine did not let the cell begin" in lab.check("guard", start("", root=True)).text
