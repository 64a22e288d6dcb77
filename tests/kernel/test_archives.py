"""Trees packed and unpacked, beside GNU tar; and archives that lie. As root and as an ordinary user alike."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import stat
import subprocess
import tarfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labcontainer.errors import KernelError, SpecError, UnsafeArchive
from labcontainer.kernel import proc
from labcontainer.runtime.extract import Rules, Target, extract
from labcontainer.runtime.pack import Packer

ROOT = os.geteuid() == 0
MIB = 1 << 20


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Something of every kind that a tar can hold."""
    top = tmp_path / "tree"
    (top / "d" / "sub").mkdir(parents=True)
    (top / "f").write_text("content")
    (top / "empty").touch()
    (top / "d" / "sub" / "run").write_bytes(os.urandom(3 * MIB + 17))
    (top / "d" / "sub" / "run").chmod(0o4751)
    (top / "d").chmod(0o750)
    os.symlink("../f", top / "d" / "link")
    os.symlink("/nowhere/at/all", top / "dangling")
    os.link(top / "f", top / "d" / "hard")
    os.mkfifo(top / "fifo", 0o620)
    (top / os.fsdecode(b"n\xff\xc3\xa4 \n")).write_text("odd")
    (top / ("long" * 60)).write_text("long")
    os.symlink("l/" * 150, top / "long link")
    with open(top / "holes", "wb") as file:
        for offset in (5 * MIB, 9 * MIB, 10 * MIB + 4096):
            file.seek(offset)
            file.write(b"x" * 5000)
        file.truncate(64 * MIB)
    with contextlib.suppress(OSError):
        os.setxattr(top / "f", "user.colour", b"r\xffd")
        os.setxattr(top / "d", "user.kind", b"directory")
    if ROOT:
        os.mknod(top / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.chown(top / "empty", 1234, 3_000_000)
    for path in sorted(top.rglob("*"), reverse=True):
        os.utime(path, ns=(1, 1_600_000_000_123_456_789), follow_symlinks=False)
    os.utime(top, ns=(1, 1_600_000_000_000_000_000))
    return top


@dataclass(frozen=True)
class Described:
    """What of a file should survive an archive; `same` is the first name of the same inode."""

    mode: str
    owner: tuple[int, int]
    mtime_ns: int
    device: int
    same: str
    content: bytes | str
    xattrs: dict[str, bytes]


def described(top: Path) -> dict[str, Described]:
    found: dict[str, Described] = {}
    inodes: dict[int, str] = {}
    for path in [top, *sorted(top.rglob("*"))]:
        name = os.path.relpath(path, top)
        status = os.lstat(path)
        same = inodes.setdefault(status.st_ino, name)
        content: bytes | str = b""
        if stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        xattrs = {key: os.getxattr(path, key) for key in os.listxattr(path, follow_symlinks=False)}
        owner = (status.st_uid, status.st_gid)
        found[name] = Described(oct(status.st_mode), owner, status.st_mtime_ns, status.st_rdev, same, content, xattrs)
    return found


def coarse(file: Described) -> Described:
    return replace(file, mtime_ns=file.mtime_ns // 10**9, xattrs={})


def packed(top: Path, name: str, to: Path) -> Path:
    fd = os.open(top, os.O_PATH | os.O_NOFOLLOW)
    descriptors = proc.own_descriptors()
    try:
        with open(to, "wb") as out, Packer(out.fileno(), descriptors) as packer:
            packer.add(fd, name)
            packer.finish()
    finally:
        os.close(fd)
        os.close(descriptors)
    assert packer.size_bytes == to.stat().st_size
    return to


def unpacked(archive: Path | bytes, directory: Path, rules: Rules | None = None) -> list[str]:
    directory.mkdir(exist_ok=True)
    descriptors = proc.own_descriptors()
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    source = io.BytesIO(archive if isinstance(archive, bytes) else archive.read_bytes())
    try:
        return extract(source, Target(fd), rules or Rules(owners=ROOT), descriptors)
    finally:
        os.close(fd)
        os.close(descriptors)


def gnu_tar(*words: str, cwd: Path) -> None:
    subprocess.run(["tar", *words], cwd=cwd, check=True, capture_output=True, timeout=60)


def test_gnu_tar_unpacks_what_we_pack(tree: Path, tmp_path: Path) -> None:
    archive = packed(tree, "copy", tmp_path / "a.tar")
    gnu_tar("-xpf", str(archive), "--xattrs", "--xattrs-include=user.*", "--numeric-owner", cwd=tmp_path)
    assert described(tmp_path / "copy") == described(tree)
    assert (tmp_path / "copy" / "holes").stat().st_blocks * 512 < MIB
    assert archive.stat().st_size < 5 * MIB


@pytest.mark.parametrize("format", ["pax", "gnu", "gnu-sparse", "pax-sparse-0.0", "pax-sparse-0.1", "pax-sparse-1.0"])
def test_we_unpack_what_gnu_tar_packs(tree: Path, tmp_path: Path, format: str) -> None:
    kind, _, sparse = format.partition("-sparse")
    words = [f"--format={kind}", *(["-S"] if "sparse" in format else [])]
    if kind == "pax":
        words += ["--xattrs", "--xattrs-include=user.*", "--pax-option=delete=atime,delete=ctime"]
        words += [f"--sparse-version={sparse[1:]}"] if sparse else []
    gnu_tar(*words, "-cf", "a.tar", "tree", cwd=tmp_path)
    unpacked(tmp_path / "a.tar", tmp_path / "out")
    ours, theirs = described(tmp_path / "out" / "tree"), described(tree)
    if kind == "gnu":  # it has whole seconds, and no attributes
        ours, theirs = ({name: coarse(each) for name, each in side.items()} for side in (ours, theirs))
    assert ours == theirs
    assert not sparse or (tmp_path / "out" / "tree" / "holes").stat().st_blocks * 512 < MIB


def test_what_we_pack_comes_out_the_same(tree: Path, tmp_path: Path) -> None:
    assert unpacked(packed(tree, "copy", tmp_path / "a.tar"), tmp_path / "out") == []
    assert described(tmp_path / "out" / "copy") == described(tree)
    assert (tmp_path / "out" / "copy" / "holes").stat().st_blocks * 512 < MIB


def test_python_reads_it_as_well(tree: Path, tmp_path: Path) -> None:
    with tarfile.open(packed(tree, "copy", tmp_path / "a.tar")) as opened:
        names = {member.name for member in opened}
        assert names == {os.path.normpath(f"copy/{name}") for name in described(tree)}
        assert opened.getmember("copy/holes").size == 64 * MIB


def test_an_empty_name_packs_what_is_in_it(tree: Path, tmp_path: Path) -> None:
    with tarfile.open(packed(tree, "", tmp_path / "a.tar")) as opened:
        assert {member.name for member in opened} == {name for name in described(tree) if name != "."}


def test_a_single_file_is_an_archive_of_one(tree: Path, tmp_path: Path) -> None:
    unpacked(packed(tree / "d" / "sub" / "run", "walk", tmp_path / "a.tar"), tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["walk"]
    assert (tmp_path / "out" / "walk").read_bytes() == (tree / "d" / "sub" / "run").read_bytes()


def test_a_file_of_nothing_but_a_hole_stays_one(tmp_path: Path) -> None:
    with open(tmp_path / "hole", "wb") as file:
        file.truncate(1 << 40)
    assert packed(tmp_path / "hole", "h", tmp_path / "a.tar").stat().st_size < MIB
    unpacked(tmp_path / "a.tar", tmp_path / "out")
    status = (tmp_path / "out" / "h").stat()
    assert (status.st_size, status.st_blocks) == (1 << 40, 0)


def test_a_file_of_many_pieces_is_whole(tmp_path: Path) -> None:
    with open(tmp_path / "sieve", "wb") as file:
        for number in range(12_000):
            file.seek(number * 16384)
            file.write(number.to_bytes(2, "big") * 2048)
    unpacked(packed(tmp_path / "sieve", "s", tmp_path / "a.tar"), tmp_path / "out")
    assert (tmp_path / "out" / "s").read_bytes() == (tmp_path / "sieve").read_bytes()


def test_a_socket_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "d" / "s"))
    with tarfile.open(packed(tmp_path / "d", "d", tmp_path / "a.tar")) as opened:
        assert opened.getnames() == ["d"]


def test_a_file_that_shrinks_while_it_is_packed_keeps_the_archive_whole(tmp_path: Path) -> None:
    file = tmp_path / "d" / "a"
    file.parent.mkdir()
    file.write_bytes(b"x" * 8 * MIB)
    (tmp_path / "d" / "b").write_text("after")
    read, write = os.pipe()

    def pack() -> None:
        fd, descriptors = os.open(file.parent, os.O_PATH), proc.own_descriptors()
        with Packer(write, descriptors) as packer:
            packer.add(fd, "d")
            packer.finish()
        for each in (fd, descriptors, write):
            os.close(each)

    packer = threading.Thread(target=pack)
    packer.start()
    with open(read, "rb") as archive:
        start = archive.read(MIB)  # it has begun, and the pipe holds it up
        os.truncate(file, 0)
        whole = start + archive.read()
    packer.join()
    unpacked(whole, tmp_path / "out")
    assert (tmp_path / "out" / "d" / "a").stat().st_size == 8 * MIB
    assert (tmp_path / "out" / "d" / "b").read_text() == "after"


def test_an_unreadable_file_is_an_error_and_no_short_archive(tmp_path: Path) -> None:
    if ROOT:
        pytest.skip("belongs to another run: as an ordinary user")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").touch(0o000)
    with pytest.raises(KernelError, match="EACCES"):
        packed(tmp_path / "d", "d", tmp_path / "a.tar")


# -- archives that lie

Entry = tuple[str, bytes, "bytes | str"]
FILE, DIR, LINK, HARD, FIFO = (
    tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE,
)  # fmt: skip


def tar(*entries: Entry, **fields: object) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, type, content in entries:
            member = tarfile.TarInfo(name)
            member.type, member.mode = type, 0o755
            for key, value in fields.items():
                setattr(member, key, value)
            if isinstance(content, bytes):
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            else:
                member.linkname = content
                archive.addfile(member)
    return out.getvalue()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "secret").write_text("secret")
    (tmp_path / "home" / "out").mkdir()
    return tmp_path / "home"


def test_parents_are_made_and_an_absolute_name_stays_below(home: Path) -> None:
    unpacked(tar(("/a/b/f", FILE, b"x")), home / "out")
    assert (home / "out" / "a" / "b" / "f").read_bytes() == b"x"


@pytest.mark.parametrize(
    "entries",
    [
        [("../evil", FILE, b"x")],
        [("a/../../evil", FILE, b"x")],
        [(".", FILE, b"x")],
        [("l", LINK, ".."), ("l/secret", FILE, b"x")],
        [("l", LINK, "/"), ("l/tmp/evil", FILE, b"x")],
        [("l", LINK, ".."), ("h", HARD, "l/secret")],
        [("h", HARD, "../secret")],
        [("h", HARD, "")],
        [("l", LINK, ".."), ("l", DIR, "")],
        [("d", DIR, ""), ("d", FILE, b"x")],
        [("f", FILE, b"x"), ("f", DIR, "")],
        [("weird", b"Z", "")],
    ],
    ids=lambda entries: " ".join(name for name, _, _ in entries),
)
def test_an_entry_that_would_lead_out_or_destroy_is_refused(home: Path, entries: list[Entry]) -> None:
    with pytest.raises(UnsafeArchive):
        unpacked(tar(*entries), home / "out", Rules(owners=False, replace=False))
    assert (home / "secret").read_text() == "secret"
    assert sorted(os.listdir(home)) == ["out", "secret"]


def test_a_link_that_was_there_is_replaced_and_not_written_through(home: Path) -> None:
    os.symlink("../secret", home / "out" / "f")
    unpacked(tar(("f", FILE, b"new")), home / "out", Rules(owners=False, replace=False))
    assert (home / "out" / "f").read_bytes() == b"new"
    assert (home / "secret").read_text() == "secret"


def test_a_link_to_a_directory_is_no_directory(home: Path) -> None:
    (home / "elsewhere").mkdir()
    os.symlink("../elsewhere", home / "out" / "d")
    with pytest.raises(UnsafeArchive, match="cannot overwrite non-directory with directory"):
        unpacked(tar(("d", DIR, ""), ("d/f", FILE, b"x")), home / "out", Rules(owners=False, replace=False))
    assert os.listdir(home / "elsewhere") == []


def test_a_file_that_others_link_to_is_replaced_and_theirs_stays(home: Path) -> None:
    os.link(home / "secret", home / "out" / "f")
    unpacked(tar(("f", FILE, b"new"), mode=0o600), home / "out")
    assert (home / "secret").read_text() == "secret"


def test_mode_time_and_owner_do_not_go_through_a_link(home: Path) -> None:
    before = os.stat(home / "secret")
    unpacked(tar(("l", LINK, "../secret"), mode=0o777, mtime=99), home / "out", Rules(owners=ROOT))
    assert os.stat(home / "secret") == before
    assert os.lstat(home / "out" / "l").st_mtime == 99


def test_without_powers_no_device_and_no_set_id_bit_is_made(home: Path) -> None:
    archive = tar(("s", FILE, b"#!"), mode=0o6755)
    device = tar(("c", tarfile.CHRTYPE, ""), ("b", tarfile.BLKTYPE, ""), mode=0o666, devmajor=8, devminor=0)
    safe = Rules(owners=False, powers=False)
    assert unpacked(archive, home / "out", safe) == []
    assert stat.S_IMODE((home / "out" / "s").stat().st_mode) == 0o755
    notes = unpacked(device, home / "out", safe)
    assert notes == ["c: a device node, left out", "b: a device node, left out"]
    assert os.listdir(home / "out") == ["s"]


def test_without_powers_no_file_capability_is_made(home: Path) -> None:
    capability = b"\x01\x00\x00\x02\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    headers = {"SCHILY.xattr.security.capability": capability.decode("latin-1"), "SCHILY.xattr.user.overlay.x": "y"}
    unpacked(tar(("f", FILE, b"x"), pax_headers=headers), home / "out", Rules(owners=False, powers=False))
    assert os.listxattr(home / "out" / "f") == []


def test_a_closed_directory_gets_its_files_before_its_mode(home: Path) -> None:
    unpacked(tar(("d", DIR, ""), ("d/f", FILE, b"x"), mode=0o500), home / "out")
    assert stat.S_IMODE((home / "out" / "d").stat().st_mode) == 0o500
    (home / "out" / "d").chmod(0o700)


def test_with_replace_a_file_takes_the_place_of_a_tree(home: Path) -> None:
    unpacked(tar(("d/e/f", FILE, b"x")), home / "out")
    unpacked(tar(("d", FILE, b"y")), home / "out")
    assert (home / "out" / "d").read_bytes() == b"y"


def test_notes_of_ids_that_do_not_exist_here(home: Path) -> None:
    if ROOT:
        pytest.skip("belongs to another run: as an ordinary user")
    (note,) = unpacked(tar(("f", FILE, b"x"), uid=0, gid=0), home / "out", Rules(owners=True))
    assert note.startswith("f: no owner 0:0 in here")
    assert (home / "out" / "f").read_bytes() == b"x"


@pytest.mark.parametrize("cut", [1, 300, 512, 700, 1024, 2048, 2560])
def test_an_archive_cut_short_is_refused(home: Path, cut: int) -> None:
    archive = tar(("f", FILE, b"x" * 2000), ("g", FILE, b""))
    with pytest.raises(SpecError):
        unpacked(archive[:cut], home / "out")


def test_no_archive_at_all_is_refused_and_an_empty_one_is_none(home: Path) -> None:
    for data in (b"hello", os.urandom(4096) + b"x"):
        with pytest.raises(SpecError):
            unpacked(data, home / "out")
    assert unpacked(b"", home / "out") == []


def test_a_map_of_holes_that_lies_is_refused(home: Path) -> None:
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "f", "GNU.sparse.realsize": "10"}
    for map in (b"1\n0\n100\n", b"1\n5\n1000000\n", b"1\n-5\n5\n", b"2\n0\n5\n"):
        with pytest.raises(SpecError):
            unpacked(tar(("x", FILE, map.ljust(512, b"\0")), pax_headers=headers), home / "out")


NAME = st.lists(st.sampled_from(["a", "b", "c", "..", ".", "", "secret", "/"]), min_size=1, max_size=4).map("/".join)
MEMBER = st.tuples(
    NAME,
    st.sampled_from([FILE, DIR, LINK, HARD, FIFO]),
    st.sampled_from(["a", "..", "/", "../secret", "a/b", ".", "../.."]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(MEMBER, max_size=6), st.booleans())
def test_no_archive_reaches_what_is_outside(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, bytes, str]], replacing: bool
) -> None:
    home = tmp_path_factory.mktemp("h")
    (home / "secret").write_text("secret")
    entries: list[Entry] = [(name, type, b"x" if type == FILE else link) for name, type, link in members]
    with contextlib.suppress(SpecError, KernelError):
        unpacked(tar(*entries), home / "out", Rules(owners=False, replace=replacing))
    assert sorted(os.listdir(home)) == ["out", "secret"]
    assert ((home / "secret").read_text(), os.stat(home / "secret").st_nlink) == ("secret", 1)
