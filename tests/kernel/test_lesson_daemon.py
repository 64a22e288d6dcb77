"""The daemon of lesson 00, the users who come to its door, and ``%%child --root``, behind which there are users."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainer.errors import HostError
from labcontainer.lessons import child, daemon
from labcontainer.lessons.child import Child
from labcontainer.lessons.visitors import Visit, visit
from tests.kernel.conftest import Said

pytestmark = pytest.mark.usefixtures("needs_userns")

# A member of the group of root's socket; somebody else.
GROUP, MEMBER, STRANGER = 61000, 61001, 61002
IMPORTS = "import os\nfrom labcontainer.lessons import daemon, rights\n"
TELL = "lambda path, caller: f'{path} for {caller.uid} of {caller.gid}'"


@pytest.fixture
def bench(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the daemon and its callers are, with a file of root's that nobody else may read."""
    bench = tmp_path_factory.mktemp("b")
    bench.chmod(0o755)
    (bench / "mnt").mkdir()
    (bench / "safe").mkdir()
    (bench / "safe/token").write_text("the token")
    (bench / "safe").chmod(0o700)
    monkeypatch.chdir(bench)
    return bench


@pytest.fixture
def other_users(request: pytest.FixtureRequest) -> None:
    """As an ordinary user there are others only in a user namespace that has ranges of ids."""
    if os.geteuid() == 0:
        request.getfixturevalue("needs_root")
    else:
        request.getfixturevalue("needs_subids")


@pytest.fixture
def keeper(bench: Path, other_users: None) -> Iterator[Child]:
    """A process that is root and keeps a daemon, whose door is open to everybody."""
    kept = child.start(
        f"{IMPORTS}daemon.serve('open.sock', {TELL}, mode=0o666)", output=print, keep="keeper", root=True
    )
    assert not kept.refused
    yield kept
    kept.end()


def test_a_daemon_answers_and_is_told_by_the_kernel_who_asks(bench: Path, said: Said) -> None:
    kept = child.start(f"{IMPORTS}daemon.serve('mine.sock', {TELL})", output=said.append, keep="kept")
    assert daemon.ask("mine.sock", "/x") == f"HTTP/1.0 200 OK\n\n/x for {os.geteuid()} of {os.getegid()}\n"
    assert daemon.ask("mine.sock", "/y").startswith("HTTP/1.0 200 OK")
    kept.end()
    with pytest.raises(ConnectionRefusedError):
        daemon.ask("mine.sock", "/x")


def test_what_an_answer_raises_becomes_a_status(bench: Path, said: Said) -> None:
    source = (
        f"{IMPORTS}def answer(path, caller):\n    raise PermissionError('no') if path == '/no' else ValueError('oh')"
    )
    kept = child.start(f"{source}\ndaemon.serve('no.sock', answer)", output=said.append, keep="kept")
    assert daemon.ask("no.sock", "/no") == "HTTP/1.0 403 Forbidden\n\nno\n"
    assert daemon.ask("no.sock", "/").startswith("HTTP/1.0 500 Internal Server Error\n\nValueError: oh")
    kept.end()


def test_a_process_with_threads_starts_no_daemon(bench: Path) -> None:
    source = (
        "import threading\nfrom labcontainer.lessons import daemon\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\ndaemon.serve('x.sock', str)"
    )
    run = subprocess.run([sys.executable, "-I", "-c", source], capture_output=True, text=True, check=False)
    assert "begin the cell with %%child" in run.stderr
    assert not Path("x.sock").exists()


def test_the_permissions_of_the_socket_decide_who_may_speak(bench: Path, other_users: None, said: Said) -> None:
    source = f"""{IMPORTS}
daemon.serve('door.sock', {TELL}, mode=0o660, group={GROUP})
for uid, groups in (({MEMBER}, [{GROUP}]), ({STRANGER}, [])):
    if os.fork() == 0:
        rights.become(uid, groups=groups)
        try:
            print(daemon.ask('door.sock', '/').splitlines()[-1])
        except PermissionError:
            print('the door is closed')
        os._exit(0)
    os.wait()
"""
    child.start(source, output=said.append, root=True)
    assert said.text.splitlines() == [f"/ for {MEMBER} of {MEMBER}", "the door is closed"]


def test_root_opens_for_a_member_of_the_group_what_the_member_may_not_read(
    bench: Path, other_users: None, said: Said
) -> None:
    source = f"""{IMPORTS}
daemon.serve('root.sock', daemon.run, mode=0o660, group={GROUP})
rights.become({MEMBER}, groups=[{GROUP}])
print(os.access('safe/token', os.R_OK), daemon.ask('root.sock', '/run?volume=safe&cat=token'))
"""
    child.start(source, output=said.append, root=True)
    assert said.text == "False HTTP/1.0 200 OK\n\nthe token\n\n"


def test_a_daemon_of_ones_own_opens_nothing_that_one_may_not_read_oneself(
    bench: Path, other_users: None, said: Said
) -> None:
    source = f"""{IMPORTS}
os.mkdir('own'); os.chown('own', {MEMBER}, {MEMBER})
rights.become({MEMBER})
open('own/file', 'w').write('my own')
rights.enter_user_namespace()
daemon.serve('own/root.sock', daemon.run)
for volume, file in (('own', 'file'), ('safe', 'token')):
    print(os.getuid(), daemon.ask('own/root.sock', f'/run?volume={{volume}}&cat={{file}}'))
"""
    child.start(source, output=said.append, root=True)
    mine, roots = said.text.split("\n0 ")
    assert mine == "0 HTTP/1.0 200 OK\n\nmy own\n"
    assert roots.startswith("HTTP/1.0 403 Forbidden\n\n[Errno 13] Permission denied: 'mnt/token'")


def test_visitors_are_who_they_are_said_to_be(keeper: Child, bench: Path) -> None:
    replies = visit(keeper.pid, bench / "open.sock", [Visit(MEMBER, path="/a"), Visit(STRANGER, gid=MEMBER), Visit(0)])
    assert [reply.splitlines()[-1] for reply in replies] == [
        f"/a for {MEMBER} of {MEMBER}", f"/ for {STRANGER} of {MEMBER}", "/ for 0 of 0",
    ]  # fmt: skip


def test_visitors_report_a_door_that_is_closed_or_missing(keeper: Child, bench: Path) -> None:
    (bench / "open.sock").chmod(0o600)
    (closed,) = visit(keeper.pid, bench / "open.sock", [Visit(MEMBER)])
    (missing,) = visit(keeper.pid, bench / "none.sock", [Visit(MEMBER)])
    assert (closed, missing) == ("[Errno 13] Permission denied", "[Errno 2] No such file or directory")
    with pytest.raises(HostError, match="visitors"):
        visit(0, bench / "open.sock", [Visit(MEMBER)])


def test_root_has_mounts_of_its_own_which_go_with_it(bench: Path, other_users: None, said: Said) -> None:
    source = "import os\nfrom labcontainer.kernel import mount\nmount.mount('none', 'mnt', 'tmpfs')\nprint(os.getuid())"
    assert child.start(source, output=said.append, root=True).exit_code == 0
    assert said.text == "0\n"


def test_root_without_other_users_is_one_sentence_and_the_lesson_goes_on() -> None:
    # A user namespace with a single id stands for a machine on which one is root, and nobody else exists.
    source = (
        "import time\nfrom labcontainer.lessons import child\n"
        # A slow listener: when it is ready again, the child has said its last word, and everything has ended.
        "hear = lambda text: (print(text, end=''), time.sleep(0.5))\n"
        "print(child.start('print(1)', output=hear, root=True).refused)"
    )
    run = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-I", "-c", source],
        capture_output=True,
        text=True,
        check=True,
    )
    sentence, refused = run.stdout.splitlines()
    assert sentence.startswith("This cell cannot run on your machine, and the lesson goes on without it: ")
    assert "other users than you" in sentence
    assert refused == "True"


def test_an_ordinary_user_without_ranges_is_told_what_gives_them(
    needs_ordinary_user: None, bench: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # where there is no newuidmap
    assert child.start("print(1)", output=said.append, root=True).refused
    assert "other users than you: newuidmap and newgidmap are not installed; to mend it: " in said.text
