"""Containers that fight back while files are copied: exchanged links, hostile libraries, hostile names.

The attack is run, seen to work against a copy that looks at paths from outside, and then tried against ours.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from labcontainer.engine import copy, files
from labcontainer.errors import LabError
from labcontainer.runtime.visit import Visit
from tests.needs import Needs

if TYPE_CHECKING:
    from labcontainer.engine import Container, Engine

ROOT = os.geteuid() == 0
ROUNDS = 300

# What CVE-2018-15664 is about: a directory and a link to a directory of the host change places without end.
EXCHANGE = """
import ctypes, os, sys
host = sys.argv[1]
os.makedirs("/arena/d/sub"); os.makedirs("/arena/out")
for place in ("/arena/d", "/arena/d/sub", "/arena/out"):
    open(place + "/secret", "w").write("inside")
os.symlink(host, "/arena/link")
os.symlink("../" * 20 + host, "/arena/link2")
exchange = ctypes.CDLL(None).renameat2
print("ready", flush=True)
while True:
    for a, b in ((b"/arena/d", b"/arena/link"), (b"/arena/out", b"/arena/link2")):
        exchange(-100, a, -100, b, 2)
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory of the host with something to steal in it, and something to overwrite."""
    directory = tmp_path / "host"
    (directory / "sub").mkdir(parents=True)
    for place in (directory, directory / "sub"):
        (place / "secret").write_text("of the host")
    return directory


@pytest.fixture
def attacker(engine: Engine, host: Path) -> Iterator[Container]:
    box = engine.containers.run("lab/python", ["python3", "-u", "-c", EXCHANGE, str(host)], detach=True)
    while b"ready" not in box.logs():
        assert box.status == "running", box.logs()
    yield box
    box.remove(force=True)


def untouched(host: Path) -> bool:
    found = {str(path.relative_to(host)) for path in host.rglob("*")}
    contents = {(host / name).read_text() for name in ("secret", "sub/secret")}
    return found == {"secret", "sub", "sub/secret"} and contents == {"of the host"}


def payload() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("secret", "sub/secret"):
            member = tarfile.TarInfo(name)
            member.size = 5
            archive.addfile(member, io.BytesIO(b"ours!"))
    return out.getvalue()


def test_the_attack_works_against_paths_that_are_looked_up_outside(attacker: Container) -> None:
    stolen = set()
    for _ in range(100 * ROUNDS):
        with contextlib.suppress(OSError):
            stolen.add(Path(f"/proc/{attacker.pid}/root/arena/d/secret").read_text())
        if "of the host" in stolen:
            return
    pytest.fail(f"the exchange was never seen: {stolen}")


def test_nothing_of_the_host_comes_out(attacker: Container) -> None:
    seen = set()
    for path in ("/arena/d/secret", "/arena/d/sub/secret", "/arena", "/arena/d/sub", "/arena/out/.", "/arena/link/."):
        with attacker.visit() as visit:
            for _ in range(ROUNDS // 6):
                with contextlib.suppress(LabError), tarfile.open(fileobj=_archive(visit, path)) as opened:
                    files_in = (opened.extractfile(member) for member in opened if member.isreg())
                    seen |= {file.read() for file in files_in if file}
    assert seen == {b"inside"}


def test_nothing_goes_out_to_the_host(attacker: Container, host: Path) -> None:
    arrived = 0
    for path in ("/arena/d", "/arena/d/sub", "/arena/out", "/arena", "/arena/link", "/arena/link2"):
        with attacker.visit() as visit:
            for _ in range(ROUNDS // 6):
                with contextlib.suppress(LabError):
                    files.put_archive(visit, path, payload())
                    arrived += 1
    assert arrived
    assert untouched(host)


def test_copies_both_ways_stay_where_they_belong(attacker: Container, host: Path, tmp_path: Path) -> None:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    for place in ("secret", "sub/secret"):
        (tmp_path / "tree" / place).write_text("ours!")
    before = sorted(os.listdir(tmp_path))
    for number in range(ROUNDS // 12):
        (out := tmp_path / "copies").mkdir(exist_ok=True)
        with contextlib.suppress(LabError), attacker.visit() as visit:
            copy.copy_to(visit, f"{tmp_path}/tree/.", f"/arena/{('d', 'out')[number % 2]}")
        with contextlib.suppress(LabError), attacker.visit() as visit:
            copy.copy_from(visit, "/arena", str(out), follow_link=bool(number % 2))
            found = {path.read_text() for path in out.rglob("secret") if path.is_file() and not _by_link(path, out)}
            assert found <= {"inside", "ours!"}
    assert untouched(host)
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "copies"])


def _by_link(path: Path, top: Path) -> bool:
    return any(parent.is_symlink() for parent in [path, *path.parents] if parent.is_relative_to(top))


def _archive(visit: Visit, path: str) -> io.BytesIO:
    read, write = files.pipe()
    with open(read, "rb") as pipe:
        visit.begin("get", fds=[write], path=path, name="x")
        os.close(write)
        data = pipe.read()
    visit.end()
    return io.BytesIO(data)


def test_a_link_that_came_out_does_not_lead_the_next_copy_away(engine: Engine, host: Path, tmp_path: Path) -> None:
    box = engine.containers.create("lab/base", ["sleep", "60"])
    (out := tmp_path / "out").mkdir()
    try:
        for script in (f"mkdir /w; ln -s {host} /w/d", "rm /w/d; mkdir /w/d; echo mine > /w/d/secret"):
            box.start()
            box.exec_run(["sh", "-c", script])
            with contextlib.suppress(LabError), box.visit() as visit:
                copy.copy_from(visit, "/w/.", str(out))
            box.stop(timeout=0)
    finally:
        box.remove(force=True)
    assert os.readlink(out / "d") == str(host)
    assert untouched(host)


def test_nothing_with_power_comes_onto_the_host(engine: Engine, tmp_path: Path) -> None:
    box = engine.containers.run("lab/base", ["sleep", "60"], detach=True)
    try:
        script = "mkdir /w; echo '#!' > /w/s; chmod 6777 /w/s; mkfifo /w/p; mknod /w/c c 1 3; mknod /w/b b 8 0; true"
        box.exec_run(["sh", "-c", script])
        with box.visit() as visit:
            done = copy.copy_from(visit, "/w", str(tmp_path), archive=True)
    finally:
        box.remove(force=True)
    assert sorted(os.listdir(tmp_path / "w")) == ["p", "s"]
    assert (tmp_path / "w" / "s").stat().st_mode & 0o7777 == 0o777
    assert len(done.notes) == (2 if ROOT else 0)


def test_what_the_helper_loads_is_never_the_containers(engine: Engine, needs: Needs, tmp_path: Path) -> None:
    """CVE-2019-14271: docker's helper loaded the name service's libraries out of the container."""
    log = tmp_path / "log"
    strace = [str(needs("strace")), "-f", "-qq", "-e", "trace=open,openat,openat2,execve,pivot_root", "-o", str(log)]
    environment = {**os.environ, "LABCONTAINER_ROOT": str(engine.root), "LABCONTAINER_RUN": str(engine.run)}
    box = engine.containers.run("lab/base", ["sleep", "60"], detach=True)
    out = str(tmp_path / "etc")
    try:
        for source, destination in ((f"{box.name}:/etc", out), (out, f"{box.name}:/e"), (f"{box.name}:/no", "-")):
            command = [*strace, sys.executable, "-m", "labcontainer.cli", "cp", source, destination]
            here = Path(__file__).parents[2]
            subprocess.run(command, env=environment, cwd=here, timeout=100, capture_output=True, check=False)
            inside = after_the_root_changed(log.read_text())
            assert inside, "the helper was not seen to change its root"
            # One thing is opened by a name of its own, the root; all else relative to it. (An ordinary user's strace
            # cannot read the name: the helper is not dumpable.)
            (named,) = [line for line in inside if re.search(r"\b(open|execve)\(|AT_FDCWD", line)]
            assert "O_PATH|O_DIRECTORY" in named
            assert '"/"' in named or not ROOT
    finally:
        box.remove(force=True)


def after_the_root_changed(log: str) -> list[str]:
    """The calls of the process that called pivot_root, from then on."""
    lines = log.splitlines()
    start = next((number for number, line in enumerate(lines) if "pivot_root(" in line), len(lines))
    pid = lines[start].split()[0] if start < len(lines) else ""
    return [line for line in lines[start + 1 :] if line.split()[0] == pid]
