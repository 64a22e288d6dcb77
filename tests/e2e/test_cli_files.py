"""``lab cp``, ``export``, ``diff`` and ``top`` as a shell sees them; GNU tar says what is in an archive."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from labcontainer.engine import Container, Engine

REPOSITORY = Path(__file__).parents[2]
BOX = "box"


class Lab:
    """The command line for one engine."""

    def __init__(self, engine: Engine) -> None:
        self.home = engine.run
        self.command = [sys.executable, "-m", "labcontainer.cli"]
        self.environment = os.environ | {"LABCONTAINER_ROOT": str(engine.root), "LABCONTAINER_RUN": str(engine.run)}

    def __call__(self, *words: str, input: bytes = b"", cwd: Path | None = None, **options: Any) -> bytes:
        done = self.run(*words, input=input, cwd=cwd, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(
        self, *words: str, input: bytes = b"", cwd: Path | None = None, **options: Any
    ) -> subprocess.CompletedProcess[bytes]:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        environment = {**self.environment, "PYTHONPATH": str(REPOSITORY)}
        return subprocess.run(
            [*self.command, *words],
            input=input,
            cwd=cwd or self.home,
            env=environment,
            timeout=60,
            check=False,
            **options,
        )


@pytest.fixture
def lab(engine: Engine) -> Lab:
    return Lab(engine)


@pytest.fixture
def box(engine: Engine) -> Iterator[Container]:
    script = "mkdir -p /d/sub; echo file > /d/f; echo y > /d/sub/y; ln -s d /l; sleep 60"
    made = engine.containers.run("lab/base", ["sh", "-c", script], name=BOX, detach=True)
    while not (made.directory / "upper" / "l").is_symlink():
        assert made.status == "running", made.logs()
    yield made
    made.remove(force=True)


def tar(*words: str, archive: bytes) -> list[str]:
    done = subprocess.run(["tar", *words], input=archive, capture_output=True, check=True)
    assert done.stderr == b""
    return done.stdout.decode().splitlines()


@pytest.mark.usefixtures("box")
def test_a_tree_goes_out_and_comes_back(lab: Lab, tmp_path: Path) -> None:
    assert lab("cp", f"{BOX}:/d", "copy", cwd=tmp_path) == b""
    assert (tmp_path / "copy" / "sub" / "y").read_text() == "y\n"
    (tmp_path / "copy" / "f").write_text("changed")
    lab("cp", "copy/.", f"{BOX}:/d", cwd=tmp_path)
    lab("cp", f"{BOX}:/d/f", str(tmp_path))
    assert (tmp_path / "f").read_text() == "changed"


@pytest.mark.usefixtures("box")
def test_a_dash_is_an_archive(lab: Lab, tmp_path: Path) -> None:
    archive = lab("cp", f"{BOX}:/d", "-")
    assert tar("t", archive=archive) == ["d/", "d/f", "d/sub/", "d/sub/y"]
    lab("cp", "-", f"{BOX}:/tmp", input=archive)
    assert tar("xO", "f", archive=lab("cp", f"{BOX}:/tmp/d/f", "-")) == ["file"]
    refused = lab.run("cp", "-", f"{BOX}:/d/f", input=archive)
    assert (refused.returncode, b"must be a directory" in refused.stderr) == (1, True)


@pytest.mark.usefixtures("box")
def test_a_link_is_copied_or_followed(lab: Lab, tmp_path: Path) -> None:
    lab("cp", f"{BOX}:/l", str(tmp_path / "link"))
    lab("cp", "-L", f"{BOX}:/l", str(tmp_path / "followed"))
    assert os.readlink(tmp_path / "link") == "d"
    assert (tmp_path / "followed" / "f").read_text() == "file\n"


def test_with_archive_files_belong_to_the_containers_user(engine: Engine, lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    box = engine.containers.create("lab/base", ["true"], name=BOX, user="65534:65534")
    try:
        lab("cp", "-a", str(tmp_path / "f"), f"{BOX}:/tmp/")
        (line,) = tar("tv", "--numeric-owner", archive=lab("cp", f"{BOX}:/tmp/f", "-"))
        assert line.split()[1] in ("65534/65534", "0/0" if os.geteuid() else "")
    finally:
        box.remove(force=True)


@pytest.mark.usefixtures("box")
def test_how_much_was_copied_is_said_on_a_terminal_alone(lab: Lab, tmp_path: Path) -> None:
    out = str(tmp_path / "f")
    ours, terminal = pty.openpty()
    try:
        for source, destination in ((f"{BOX}:/d/f", out), (out, f"{BOX}:/g")):
            lab("cp", "-q", source, destination, stderr=terminal)
            lab("cp", source, destination, stderr=terminal)
            # Docker, too, counts the archive: a file of five bytes, its header, and the archive's end.
            assert re.fullmatch(rf"Successfully copied \d\S*kB to {destination}\r\n", os.read(ours, 1000).decode())
            assert lab.run("cp", source, destination).stderr == b""
    finally:
        os.close(terminal)
        os.close(ours)


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["cp", f"{BOX}:/nope", "."], 1, f"no such file: /nope in container {BOX}"),
        (["cp", f"{BOX}:/d/f", "/no/such/place"], 1, "no such directory: /no/such"),
        (["cp", f"{BOX}:/d/f", "/dev/null"], 1, "it is a device"),
        (["cp", f"{BOX}:/d", "/etc/passwd"], 1, "cannot copy directory"),
        (["cp", f"{BOX}:/d/f", f"{BOX}:/g"], 125, "copying between containers is not supported"),
        (["cp", "a", "b"], 125, "must be CONTAINER:PATH"),
        (["cp", "nobody:/f", "."], 1, "no such container: nobody"),
        (["cp", "/no/such/file", f"{BOX}:/"], 1, "no such file: /no/such/file"),
        (["cp", "/etc/passwd", f"{BOX}:/no/where"], 1, f"no such file: /no in container {BOX}"),
        (["cp", f"{BOX}:", "."], 1, "path cannot be ''"),
        (["export", "-o", "/no/such/place", BOX], 1, "no such directory: /no/such"),
        (["diff", "nobody"], 1, "no such container: nobody"),
        (["top", "nobody"], 1, "no such container: nobody"),
        (["top", BOX, "-o", "args"], 1, "couldn't find PID field"),
        (["top", BOX, "-o", "pid=x,args"], 1, "PID field"),
        (["top", BOX, "-eo", "pid,ppid=PID"], 1, "would hide the real one"),
        (["top", BOX, "--nonsense"], 1, "ps arguments"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_a_sentence_and_an_exit_code(lab: Lab, words: list[str], code: int, said: str, needs: Any) -> None:
    if words[0] == "top":
        needs("ps")
    done = lab.run(*words)
    assert (done.returncode, done.stdout) == (code, b"")
    assert said in done.stderr.decode()
    assert b"Traceback" not in done.stderr


@pytest.mark.usefixtures("box")
def test_an_export_goes_to_stdout_or_into_a_file(lab: Lab, tmp_path: Path) -> None:
    names = tar("t", archive=lab("export", BOX))
    assert {"etc/passwd", "d/sub/y", "l", "proc/"} <= set(names)
    assert not [name for name in names if name.startswith(("/", "proc/1", "./"))]
    lab("export", "-o", "root.tar", BOX, cwd=tmp_path)
    assert tar("t", archive=(tmp_path / "root.tar").read_bytes()) == names
    assert os.listdir(tmp_path) == ["root.tar"]


@pytest.mark.usefixtures("box")
def test_an_export_to_a_terminal_is_refused(lab: Lab) -> None:
    ours, terminal = pty.openpty()
    try:
        done = lab.run("export", BOX, stdout=terminal)
        assert (done.returncode, b"cowardly refusing" in done.stderr) == (125, True)
    finally:
        os.close(terminal)
        os.close(ours)


def test_a_diff_is_a_line_for_each_change(lab: Lab, box: Container) -> None:
    assert lab("diff", BOX).decode().splitlines() == ["A /d", "A /d/f", "A /d/sub", "A /d/sub/y", "A /l"]
    box.stop(timeout=0)
    assert lab("diff", BOX).decode().splitlines()[0] == "A /d"


def test_names_on_a_terminal_are_no_commands_to_it(lab: Lab, box: Container) -> None:
    box.exec_run(["sh", "-c", "touch $(printf '/d/\\033[31m\\377')"])
    assert b"A /d/\x1b[31m\xff\n" in lab("diff", BOX)
    ours, terminal = pty.openpty()
    try:
        lab("diff", BOX, stdout=terminal)
        assert b"A /d/?[31m?" in os.read(ours, 10_000)
    finally:
        os.close(terminal)
        os.close(ours)


def test_top_shows_the_containers_processes_and_no_others(lab: Lab, box: Container) -> None:
    lines = lab("top", BOX).decode().splitlines()
    assert lines[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert {line.split()[1] for line in lines[1:]} >= {str(box.pid)}
    assert all("sleep 60" in line for line in lines[1:])


def test_top_with_arguments_is_the_hosts_ps(lab: Lab, box: Container, needs: Any) -> None:
    needs("ps")
    lines = lab("top", BOX, "-eo", "pid,args").decode().splitlines()
    assert lines[0].split() == ["PID", "COMMAND"]
    assert str(box.pid) in [line.split()[0] for line in lines[1:]]
    assert all("sleep 60" in line for line in lines[1:])
