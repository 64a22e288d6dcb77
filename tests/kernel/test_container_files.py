"""Files in and out of containers that run and that do not, as docker-py's names have them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from labcontainer.engine import files
from labcontainer.errors import LabError, NotFound, SpecError, StateError, UnsafeArchive, UsageError
from labcontainer.kernel import proc
from labcontainer.runtime.visit import Visit

if TYPE_CHECKING:
    from labcontainer.engine import Container, Engine

ROOT = os.geteuid() == 0
MIB = 1 << 20
STATES = ("running", "created", "exited")


@contextmanager
def container(engine: Engine, status: str = "running", **options: Any) -> Iterator[Container]:
    made = engine.containers.create("lab/base", ["sleep", "60"], **options)
    try:
        if status != "created":
            made.start()
        if status == "exited":
            made.stop(timeout=0)
        assert made.status == status
        yield made
    finally:
        made.remove(force=True)


def tar(**content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def opened(chunks: Iterator[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(b"".join(chunks)))


def content(box: Container, path: str) -> bytes:
    (member,) = (archive := opened(box.get_archive(path)[0])).getmembers()
    found = archive.extractfile(member)
    assert found is not None
    return found.read()


def sh(box: Container, script: str) -> str:
    code, output = box.exec_run(["sh", "-c", script])
    assert code == 0, output
    assert isinstance(output, bytes)
    return output.decode()


@pytest.mark.parametrize("status", STATES)
def test_what_is_put_in_comes_out(engine: Engine, status: str) -> None:
    with container(engine, status) as box:
        assert box.put_archive("/tmp", tar(f=b"hello"))
        assert content(box, "/tmp/f") == b"hello"
        assert {"Path": "/tmp/f", "Kind": 1} in box.diff()


def test_what_is_put_into_a_stopped_container_is_there_when_it_starts(engine: Engine) -> None:
    with container(engine, "exited") as box:
        box.put_archive("/", tar(f=b"hello"))
        box.start()
        assert sh(box, "cat /f") == "hello"
        sh(box, "echo more >> /f")
        box.stop(timeout=0)
        assert content(box, "/f") == b"hellomore\n"


def test_a_stat_is_dockers(engine: Engine) -> None:
    with container(engine) as box:
        sh(box, "mkdir -m 1777 /d; ln -s d /l; ln -s /no/where /x; ln -s l/../../.. /up; touch -d @1600000000 /d")
        chunks, found = box.get_archive("/d")
        list(chunks)
        assert found == {
            "name": "d", "size": found["size"], "mode": 1 << 31 | 1 << 20 | 0o777,
            "mtime": "2020-09-13T12:26:40.000000000Z", "linkTarget": "",
        }  # fmt: skip
        targets = {path: box.get_archive(path)[1]["linkTarget"] for path in ("/l", "/x", "/up", "/l/")}
        assert targets == {"/l": "/d", "/x": "/no/where", "/up": "/", "/l/": ""}
        assert box.get_archive("/l")[1]["mode"] == 1 << 27 | 0o777


def test_the_top_of_an_archive_is_named_as_docker_names_it(engine: Engine) -> None:
    with container(engine) as box:
        sh(box, "mkdir -p /d/e; ln -s d /l; touch /d/f")
        for path, names in {
            "/d": ["d", "d/f", "d/e"], "/d/": ["d", "d/f", "d/e"], "/d/.": [".", "./f", "./e"],
            "d/e/..": ["d", "d/f", "d/e"], "/l": ["l"], "/l/": ["l", "l/f", "l/e"], "/d/f": ["f"],
        }.items():  # fmt: skip
            assert opened(box.get_archive(path)[0]).getnames() == names


@pytest.mark.parametrize("status", STATES)
def test_mounts_of_the_system_are_not_seen(engine: Engine, status: str) -> None:
    with container(engine, status) as box:
        assert opened(box.get_archive("/proc")[0]).getnames() == ["proc"]
        assert not any(name.startswith("sys/") for name in opened(box.export()).getnames())
        with pytest.raises(NotFound, match=f"no such file: /dev/null in container {box.name}"):
            box.get_archive("/dev/null")


@pytest.mark.parametrize("status", STATES)
def test_volumes_are_copied_and_not_exported(engine: Engine, status: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "f").write_text("of the host")
    (tmp_path / "conf").write_text("conf")
    volumes = {
        str(tmp_path / "data"): {"bind": "/srv/data"},
        str(tmp_path / "conf"): {"bind": "/etc/conf", "mode": "ro"},
    }
    with container(engine, status, volumes=volumes) as box:
        assert content(box, "/srv/data/f") == b"of the host"
        assert content(box, "/etc/conf") == b"conf"
        box.put_archive("/srv/data", tar(new=b"x"))
        assert (tmp_path / "data" / "new").read_bytes() == b"x"
        exported = opened(box.export())
        assert "srv/data/f" not in exported.getnames()
        assert exported.getmember("etc/conf").size == 0
        assert {"Path": "/srv/data/new", "Kind": 1} not in box.diff()


@pytest.mark.parametrize("status", STATES)
def test_a_read_only_root_refuses_and_says_so(engine: Engine, status: str, tmp_path: Path) -> None:
    (tmp_path / "rw").mkdir()
    (tmp_path / "ro").mkdir()
    volumes = {str(tmp_path / name): {"bind": f"/{name}", "mode": name} for name in ("rw", "ro")}
    # The mount points cannot be made in a root that is read-only from the start.
    with container(engine, status, volumes=volumes, read_only=True) as box:
        with pytest.raises(UsageError, match="container rootfs is marked read-only"):
            box.put_archive("/tmp", tar(f=b""))
        with pytest.raises(UsageError, match="mounted volume is marked read-only"):
            box.put_archive("/ro", tar(f=b""))
        box.put_archive("/rw", tar(f=b"x"))
        assert (tmp_path / "rw" / "f").read_bytes() == b"x"
        assert content(box, "/etc/passwd")


def test_what_is_wrong_with_a_path_is_said(engine: Engine) -> None:
    with container(engine) as box:
        sh(box, "ln -s b /a; ln -s a /b")
        for path, what in {
            "/nope": "no such file: /nope in container", "/etc/passwd/": "not a directory", "/a/x": "round in a circle",
            "": "must not be empty", "/" + "n" * 300: "too long",
        }.items():  # fmt: skip
            with pytest.raises(LabError, match=what):
                box.get_archive(path)
        with pytest.raises(UsageError, match="extraction point is not a directory"):
            box.put_archive("/etc/passwd", tar(f=b""))
        with pytest.raises(NotFound):
            box.put_archive("/nope", tar(f=b""))


def test_an_archive_may_be_compressed_or_come_in_pieces(engine: Engine) -> None:
    whole = tar(f=os.urandom(100_000))
    with container(engine) as box:
        for data in (gzip.compress(whole), bz2.compress(whole), lzma.compress(whole), io.BytesIO(whole), iter([whole])):
            box.put_archive("/tmp", data)
            assert len(content(box, "/tmp/f")) == 100_000
            sh(box, "rm /tmp/f")
        for wrong in (b"no archive", b"\x28\xb5\x2f\xfd....", tar(f=b"x" * 5000)[:2000]):
            with pytest.raises(LabError):
                box.put_archive("/tmp", wrong)


def test_a_hostile_archive_is_refused_by_name(engine: Engine) -> None:
    with container(engine) as box:
        with pytest.raises(UnsafeArchive, match=r"'\.\./x' refused: its name leads upwards"):
            box.put_archive("/tmp", tar(**{"../x": b""}))
        with pytest.raises(SpecError):
            box.put_archive("/tmp", b"x" * 100_000)


def test_links_on_the_way_are_those_of_the_container(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("of the host")
    with container(engine) as box:
        sh(box, f"mkdir -p {tmp_path}; echo inside > {tmp_path}/f; ln -s {tmp_path} /l; ln -s /l/f /f")
        assert content(box, "/l/f") == b"inside\n"
        box.put_archive("/l", tar(f=b"new"))
        assert content(box, f"{tmp_path}/f") == b"new"
        box.put_archive("/", tar(**{"l/g": b"through"}))
        assert content(box, f"{tmp_path}/g") == b"through"
    assert os.listdir(tmp_path) == ["f"]
    assert (tmp_path / "f").read_text() == "of the host"


def test_an_export_is_the_whole_root(engine: Engine) -> None:
    with container(engine) as box:
        sh(box, "rm -r /tmp; mkdir -p /a/b; echo x > /a/b/f; ln /a/b/f /a/hard; mkfifo /a/fifo; ln -s b /a/l")
        for status in ("running", "exited"):
            if status == "exited":
                box.stop(timeout=0)
            archive = opened(box.export())
            names = {f"/{name}" for name in archive.getnames()}
            assert archive.getmember("a/hard").islnk() or archive.getmember("a/b/f").islnk()
            assert archive.getmember("a/fifo").isfifo()
            if status == "running":
                seen = set(sh(box, "find / -xdev -mindepth 1 | sort").split("\n")) - {""}
            assert names == {name for name in seen if not name.startswith(("/dev/", "/proc/", "/sys/"))}


def test_owners_are_the_containers_numbers(engine: Engine) -> None:
    with container(engine) as box:
        several = len(proc.id_map(box.pid)) > 1 or proc.id_map(box.pid)[0].length > 2000
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            member = tarfile.TarInfo("f")
            member.uid, member.gid, member.mode = 1234, 567, 0o4750
            archive.addfile(member)
        box.put_archive("/tmp", out.getvalue())
        assert sh(box, "stat -c '%u:%g %a' /tmp/f") == ("1234:567 4750\n" if several else "0:0 4750\n")
        found = opened(box.get_archive("/tmp/f")[0]).getmember("f")
        assert (found.uid, found.gid, found.mode) == ((1234, 567) if several else (0, 0)) + (0o4750,)


def test_a_device_is_made_where_the_container_could_make_it(engine: Engine) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("null")
        member.type, member.devmajor, member.devminor = tarfile.CHRTYPE, 1, 3
        archive.addfile(member)
    with container(engine) as box, box.visit() as visit:
        notes = files.put_archive(visit, "/tmp", out.getvalue())
        made = sh(box, "ls -l /tmp").strip()
    assert notes == ([] if ROOT else ["null: a device node, which a user namespace may not make; left out"])
    assert ("1,   3" in made or "1, 3" in made) is ROOT


def test_names_that_are_not_utf8_and_attributes_survive(engine: Engine) -> None:
    name = os.fsdecode(b"n\xff")
    headers = {"SCHILY.xattr.user.colour": "r\udcffd"}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo(name)
        member.pax_headers = headers
        archive.addfile(member)
    with container(engine) as box:
        box.put_archive("/tmp", out.getvalue())
        (found,) = opened(box.get_archive(f"/tmp/{name}")[0]).getmembers()
        assert {"Path": f"/tmp/{name}", "Kind": 1} in box.diff()
    assert (found.name, found.pax_headers.get("SCHILY.xattr.user.colour")) == (name, "r\udcffd")


def test_memory_does_not_grow_with_the_files(engine: Engine) -> None:
    with container(engine) as box:
        sh(box, "head -c 200000000 /dev/zero > /tmp/big")
        peaks: list[int] = []
        with box.visit() as visit:
            chunks = files.Archive(visit, "get", path="/tmp/big", name="big")
            size = sum(map(len, chunks_and_peak(chunks, visit.pid, peaks)))
        assert size > 200_000_000
        assert max(peaks) < 80 * MIB


def chunks_and_peak(chunks: Iterator[bytes], pid: int, peaks: list[int]) -> Iterator[bytes]:
    for chunk in chunks:
        peaks.append(int(proc.status(pid)["VmHWM"].split()[0]) * 1024)
        yield chunk


def test_an_archive_that_nobody_reads_to_its_end_leaves_nothing(engine: Engine) -> None:
    with container(engine) as box:
        chunks = box.export(chunk_size=512)
        assert len(next(chunks)) == 512
        assert isinstance(chunks, files.Archive)
        chunks.close()
        assert list(chunks) == []
        box.get_archive("/etc")  # let go of at once


def test_a_killed_helper_is_an_error_and_no_short_archive(engine: Engine) -> None:
    with container(engine) as box, box.visit() as visit:
        chunks = files.Archive(visit, "get", path="/", name="", chunk_size=512)
        next(chunks)
        os.kill(visit.pid, 9)
        with pytest.raises(LabError, match="a helper process"):
            list(chunks)


def test_two_at_once_wait_for_each_other_and_a_start_for_both(engine: Engine) -> None:
    with container(engine, "exited") as box:
        with box.visit() as visit:
            others = [threading.Thread(target=box.put_archive, args=("/", tar(**{name: b"x"}))) for name in "ab"]
            others.append(threading.Thread(target=box.start))
            for other in others:
                other.start()
            files.put_archive(visit, "/", tar(c=b"x"))
        for other in others:
            other.join()
        assert sh(box, "cat /a /b /c") == "xxx"


def test_a_container_that_has_just_ended_is_found_on_disk(engine: Engine) -> None:
    with container(engine) as box:
        before = files.place(box.directory)
        box.stop(timeout=0)
        with Visit() as visit, pytest.raises(StateError, match="stopped"):
            visit.ask("enter", place=before.to_json())
        assert content(box, "/etc/passwd")


def test_the_helpers_calls_are_in_the_trace(engine: Engine) -> None:
    with container(engine) as box:
        with engine.trace() as trace, box.visit():
            pass
        made = {event.call: event.role for event in trace.events}
    assert {made[call] for call in ("setns", "open_tree", "move_mount", "pivot_root", "capset")} == {"child"}


def test_the_helper_keeps_no_power_to_leave(engine: Engine) -> None:
    with container(engine) as box, box.visit() as visit:
        status = proc.status(visit.pid)
        held = int(status["CapPrm"], 16)
        assert not held & (1 << 21 | 1 << 18 | 1 << 19 | 1 << 16)  # SYS_ADMIN, SYS_CHROOT, SYS_PTRACE, SYS_MODULE
        assert status["NoNewPrivs"] == "1"
        mounts = {mount.target for mount in proc.mountinfo(visit.pid)} if ROOT else set()
        assert mounts <= {"/", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}  # the container's own


def test_a_directory_put_over_a_file_replaces_it(engine: Engine) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("f")
        member.type, member.mode = tarfile.DIRTYPE, stat.S_IRWXU
        archive.addfile(member)
    with container(engine) as box:
        box.put_archive("/tmp", tar(f=b"x"))
        box.put_archive("/tmp", out.getvalue())
        assert opened(box.get_archive("/tmp/f")[0]).getmember("f").isdir()
