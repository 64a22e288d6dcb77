"""``%%child``: what a cell starts is seen from outside, and ends with it; and a lab ends with its notebook kernel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labcontainer.kernel import namespaces, proc
from labcontainer.lessons import child, look_inside
from tests.kernel.conftest import Said

NAMED = "from labcontainer.kernel import namespaces as n\nn.unshare(n.CloneFlag.CLONE_NEWUTS)\nn.sethostname('boxy')\n"


def test_a_cell_runs_in_a_process_with_one_thread_and_is_heard(said: Said) -> None:
    source = "import os\nprint('threads', len(os.listdir('/proc/self/task')), '…')\nos.system('echo from a program')"
    done = child.start(source, output=said.append)
    assert (done.exit_code, done.alive) == (0, False)
    assert said.text == "threads 1 …\nfrom a program\n"


def test_an_exception_is_shown_with_its_line_and_fails_the_cell(said: Said) -> None:
    done = child.start("x = 1\nx / 0", output=said.append)
    assert done.exit_code == 1
    assert "x / 0" in said.text
    assert "ZeroDivisionError" in said.text
    assert "child_main" not in said.text


def test_the_exit_code_is_the_cells_or_its_signals(said: Said) -> None:
    assert child.start("raise SystemExit(3)", output=said.append).exit_code == 3
    assert child.start("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", output=said.append).exit_code == 143


def test_a_kept_child_can_be_looked_at_until_it_is_ended(said: Said) -> None:
    box = child.start(NAMED, output=said.append, keep="box", userns=True)
    assert namespaces.inode(box.pid, "uts") != namespaces.inode("self", "uts")
    assert look_inside(box.pid).hostname == "boxy"
    assert repr(box) == "<Child box: alive>"
    box.end()
    assert repr(box) == "<Child box: ended>"
    box.end()  # twice does no harm


def test_what_a_child_has_started_ends_with_it(said: Said) -> None:
    source = """
import os, subprocess
print(subprocess.Popen(["sleep", "60"], start_new_session=True).pid)
hear, say = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.write(say, str(os.getpid()).encode())
else:
    print(os.read(hear, 10).decode())
"""
    kept = child.start(source, output=said.append, keep="kept")
    below = [int(pid) for pid in said.text.split()]
    assert all(proc.start_time(pid) for pid in below)
    kept.end()
    assert not any(proc.start_time(pid) for pid in below)


def test_a_fork_of_a_fork_keeps_what_the_first_has_opened(said: Said) -> None:
    # The fork closes the channel to the notebook; what it opens next may get that channel's number.
    source = """
import os
if os.fork() == 0:
    opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(8)]
    if os.fork() == 0:
        print([os.fstat(fd).st_rdev == os.makedev(1, 3) for fd in opened].count(True))
        os._exit(0)
    os.wait()
    os._exit(0)
os.wait()
"""
    assert child.start(source, output=said.append).exit_code == 0
    assert said.text == "8\n"


def test_a_forked_child_that_is_kept_stays_too(said: Said) -> None:
    kept = child.start("import os\nos.fork()", output=said.append, keep="kept")
    _until(lambda: len(proc.children(kept.pid)) == 1)
    time.sleep(0.05)
    assert proc.status(proc.children(kept.pid)[0])["State"][0] == "S"
    kept.end()


def test_a_kept_cell_that_becomes_another_program_is_kept(said: Said) -> None:
    kept = child.start("import os\nos.execvp('sleep', ['sleep', '60'])", output=said.append, keep="kept")
    _until(lambda: proc.status(kept.pid)["Name"] == "sleep")
    assert kept.alive
    kept.end()


def test_the_calls_of_all_processes_of_a_cell_are_recorded(said: Said) -> None:
    source = NAMED + "import os\nif os.fork() == 0:\n    n.sethostname('deeper')\n    os._exit(0)\nos.wait()"
    done = child.start(source, output=said.append, userns=True, traced=True)
    assert [event.call for event in done.events] == ["unshare", "sethostname", "sethostname"]
    assert len({event.pid for event in done.events}) == 2
    assert {(event.line, event.role) for event in done.events} == {(2, "child"), (3, "child"), (6, "child")}


def test_values_and_children_are_given_to_a_cell(said: Said) -> None:
    kept = child.start("", output=said.append, keep="kept")
    child.start("print(kept.pid, numbers)", output=said.append, given={"kept": kept, "numbers": [1, 2]})
    kept.end()
    assert said.text == f"{kept.pid} [1, 2]\n"
    with pytest.raises(TypeError, match="can be given"):
        child.start("", output=said.append, given={"thing": object()})


def test_a_refused_user_namespace_is_one_sentence_and_the_lesson_goes_on() -> None:
    # A user namespace in which no further one may be made stands for a machine that allows none.
    inside = (
        "from labcontainer.lessons import child\n"
        "done = child.start('print(1)', output=lambda text: print(text, end=''), userns=True, keep='box')\n"
        "print(done.refused, done.alive, done.exit_code)\ndone.end()"
    )
    shell = f'echo 0 > /proc/sys/user/max_user_namespaces; exec "{sys.executable}" -I -c "$0"'
    run = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", shell, inside], capture_output=True, text=True, check=True
    )
    sentence, result = run.stdout.splitlines()
    assert sentence.startswith("This cell cannot run on your machine, and the lesson goes on without it: unshare(")
    assert "sysctl" in sentence
    assert result == "True True None"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_lab_is_cleared_away_however_its_notebook_kernel_ends(end: signal.Signals, tmp_path: Path) -> None:
    source = (
        "import time\nfrom labcontainer.lessons import Lab, child\nlab = Lab('02')\n"
        "lab.engine.containers.run('lab/base', 'sleep 60', detach=True)\n"
        "kept = child.start('', output=print, keep='kept')\nprint(kept.pid, flush=True)\ntime.sleep(60)"
    )
    environment = {"LABCONTAINER_ROOT": str(tmp_path / "root"), "LABCONTAINER_RUN": str(tmp_path / "run")}
    notebook = subprocess.Popen(
        [sys.executable, "-I", "-c", source], env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    )
    assert notebook.stdout is not None
    with notebook.stdout:
        pid = int(notebook.stdout.readline())
        assert list((tmp_path / "root/lessons").glob("02-*/containers/*/"))
        notebook.send_signal(end)
        notebook.wait()
    _until(lambda: not [*(tmp_path / "root/lessons").iterdir(), *(tmp_path / "run/lessons").iterdir()])
    assert proc.start_time(pid) is None


def test_an_abandoned_lab_is_cleared_away_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCONTAINER_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("LABCONTAINER_RUN", str(tmp_path / "run"))
    from labcontainer.lessons import Lab

    abandoned = tmp_path / "root/lessons/02-gone"
    (abandoned / "bench").mkdir(parents=True)
    (abandoned / "lock").touch()
    lab = Lab("02")
    (lab.directory / "file").touch()
    (lab.directory / "directory/below").mkdir(parents=True)
    before = lab.directory.stat()
    lab.reset()
    assert not list(lab.directory.iterdir())
    # The notebook may stand in it, and other users than the notebook's must be able to.
    assert lab.directory.stat().st_ino == before.st_ino
    assert before.st_mode & 0o777 == 0o755
    lab.close()
    assert not list((tmp_path / "root/lessons").iterdir())


def _until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
