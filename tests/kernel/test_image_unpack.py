from __future__ import annotations

import contextlib
import gzip
import io
import os
import stat
import subprocess
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labcontainer.errors import DigestMismatch, SpecError, UnsafeLayer
from labcontainer.image import unpack
from labcontainer.kernel import overlay
from labcontainer.oci.digest import Digest

ROOT = os.geteuid() == 0
FILE, DIR, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
CHAR, BLOCK, FIFO = tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE
Entry = tuple[str, bytes, str | bytes]


def tar(*entries: Entry, **fields: Any) -> bytes:
    """A layer of (name, type, content or link target); `fields` are set on every member."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
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
    return packed.getvalue()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    directory = tmp_path / "host" / "layer"
    directory.mkdir(parents=True)
    (tmp_path / "host" / "secret").write_text("secret")
    return directory


def apply(layer: bytes, target: Path) -> None:
    unpack.apply(io.BytesIO(layer), target)


def outside(target: Path) -> list[str]:
    return sorted(
        str(path.relative_to(target.parent)) for path in target.parent.rglob("*") if target not in path.parents
    )


def test_files_directories_and_links_come_out_as_they_went_in(target: Path) -> None:
    entries: list[Entry] = [
        ("a", DIR, ""),
        ("a/f", FILE, b"text"),
        ("a/l", LINK, "f"),
        ("h", HARD, "a/f"),
        ("p", FIFO, ""),
    ]
    apply(tar(*entries, mode=0o640 | 0o100, mtime=1234), target)
    assert (target / "a" / "f").read_bytes() == b"text"
    assert os.readlink(target / "a" / "l") == "f"
    assert os.path.samefile(target / "h", target / "a" / "f")
    assert stat.S_ISFIFO(os.lstat(target / "p").st_mode)
    assert stat.S_IMODE(os.lstat(target / "a" / "f").st_mode) == 0o740
    assert {os.lstat(target / name).st_mtime for name in ("a", "a/f", "a/l", "p")} == {1234}


def test_a_packed_layer_is_unpacked(target: Path) -> None:
    apply(gzip.compress(tar(("f", FILE, b"text"))), target)
    assert (target / "f").read_bytes() == b"text"


def test_a_layer_packed_by_zstd_is_unpacked_frames_that_say_nothing_included(target: Path) -> None:
    skipped = b"\x50\x2a\x4d\x18\x04\0\0\0toc!"
    layer = tar(("f", FILE, b"text"))
    packed = zstandard.ZstdCompressor().compress
    apply(skipped + packed(layer[:700]) + skipped + packed(layer[700:]), target)
    assert (target / "f").read_bytes() == b"text"


@pytest.mark.parametrize("options", ["gnu", "0.0", "0.1", "1.0"])
def test_a_sparse_file_comes_out_sparse_however_tar_wrote_it(tmp_path: Path, target: Path, options: str) -> None:
    with open(tmp_path / "sparse", "wb") as file:
        for at in range(0, 40 << 20, 2 << 20):
            file.seek(at)
            file.write(b"data at %d" % at)
        file.truncate(41 << 20)
    form = ["--format=gnu"] if options == "gnu" else ["--format=pax", f"--sparse-version={options}"]
    command = ["tar", "-C", str(tmp_path), "-cSf", "-", *form, "sparse"]
    apply(subprocess.run(command, check=True, capture_output=True).stdout, target)
    assert (target / "sparse").read_bytes() == (tmp_path / "sparse").read_bytes()
    assert (target / "sparse").stat().st_blocks * 512 < 1 << 20


def test_times_are_kept_to_the_nanosecond(target: Path) -> None:
    apply(tar(("d", DIR, ""), ("d/f", FILE, b""), pax_headers={"mtime": "1700000000.123456789"}), target)
    assert {(target / name).stat().st_mtime_ns for name in ("d", "d/f")} == {1_700_000_000_123_456_789}


def test_more_than_the_disk_has_room_for_is_refused_by_the_entrys_name(target: Path) -> None:
    bomb = gzip.compress(tar(("small", FILE, b"x"), ("zeros", FILE, bytes(10 << 20))))
    with pytest.raises(UnsafeLayer, match="bytes that are free") as refused:
        unpack.apply(io.BytesIO(bomb), target, bounds=unpack.Bounds(10, 1 << 20))
    assert refused.value.entry == "zeros"
    with pytest.raises(UnsafeLayer, match="entries that are allowed") as refused:
        unpack.apply(io.BytesIO(bomb), target, bounds=unpack.Bounds(1, 1 << 30))
    assert refused.value.entry == "zeros"
    assert unpack.Bounds.of(target).size_bytes > 1 << 20


def test_no_descriptor_and_no_thread_is_left_by_a_layer_that_is_refused(target: Path) -> None:
    layer = gzip.compress(tar(("../evil", FILE, b"x"), ("f", FILE, os.urandom(20 << 20))))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(UnsafeLayer):
        apply(layer, target)
    assert len(os.listdir("/proc/self/fd")) == before
    assert not [each for each in threading.enumerate() if each.name == "read-ahead"]


def test_parents_that_are_not_named_are_made(target: Path) -> None:
    apply(tar(("./a/b/c", FILE, b"")), target)
    assert (target / "a" / "b" / "c").is_file()
    assert stat.S_IMODE((target / "a").stat().st_mode) == 0o755


def test_the_root_has_the_mode_that_the_layer_says(target: Path) -> None:
    apply(tar(("./", DIR, ""), mode=0o711), target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o711


@pytest.mark.skipif(not ROOT, reason="belongs to another run: as root")
def test_owner_set_user_id_and_capabilities_are_kept_for_root(target: Path) -> None:
    capability = b"\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    headers = {"SCHILY.xattr.security.capability": capability.decode("latin-1")}
    apply(tar(("f", FILE, b"x"), uid=1000, gid=50, mode=0o4755, pax_headers=headers), target)
    status = (target / "f").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1000, 50, 0o4755)
    assert os.getxattr(target / "f", "security.capability")[:4] == b"\1\0\0\2"


@pytest.mark.skipif(ROOT, reason="belongs to another run: as an ordinary user")
def test_for_an_ordinary_user_everything_is_the_users_own_and_devices_are_left_out(target: Path) -> None:
    apply(
        tar(("d", DIR, ""), ("d/f", FILE, b"x"), ("d/c", CHAR, ""), uid=0, gid=0, mode=0o555, devmajor=1, devminor=3),
        target,
    )
    assert (target / "d" / "f").stat().st_uid == os.getuid()
    assert stat.S_IMODE((target / "d").stat().st_mode) == 0o755
    assert not (target / "d" / "c").exists()


@pytest.mark.skipif(not ROOT, reason="belongs to another run: as root")
def test_devices_are_made_for_root(target: Path) -> None:
    apply(tar(("c", CHAR, ""), devmajor=1, devminor=3), target)
    assert os.lstat(target / "c").st_rdev == os.makedev(1, 3)


def test_a_whiteout_becomes_the_overlays_mark(target: Path) -> None:
    apply(tar(("d", DIR, ""), ("d/.wh.gone", FILE, b"")), target)
    assert overlay.is_whiteout(os.lstat(target / "d" / "gone"))


def test_an_opaque_mark_becomes_the_overlays_attribute(target: Path) -> None:
    apply(tar(("d", DIR, ""), ("d/.wh..wh..opq", FILE, b""), ("e", DIR, "")), target)
    assert overlay.is_opaque(target / "d")
    assert not overlay.is_opaque(target / "e")
    assert os.listdir(target / "d") == []


@pytest.mark.parametrize("order", [("d/f", ".wh.d"), (".wh.d", "d/f")])
def test_a_whiteout_hides_what_is_below_and_not_its_own_layer(target: Path, order: tuple[str, str]) -> None:
    apply(tar(*[(name, FILE, b"new") for name in order]), target)
    assert (target / "d" / "f").read_bytes() == b"new"
    # What the layers below have in it must not shine through, whichever came first.
    assert overlay.is_opaque(target / "d")


def test_a_directory_after_its_whiteout_hides_the_one_below(target: Path) -> None:
    apply(tar((".wh.d", FILE, b""), ("d", DIR, ""), ("d/f", FILE, b"new")), target)
    assert overlay.is_opaque(target / "d")
    assert (target / "d" / "f").read_bytes() == b"new"


def test_a_file_stays_when_the_layer_below_had_one_too(target: Path) -> None:
    apply(tar(("f", FILE, b"new"), (".wh.f", FILE, b"")), target)
    assert (target / "f").read_bytes() == b"new"


def test_the_books_of_aufs_are_left_out(target: Path) -> None:
    apply(tar((".wh..wh.aufs", FILE, b""), (".wh..wh.plnk", FILE, b""), ("f", FILE, b"")), target)
    assert os.listdir(target) == ["f"]


def test_an_entry_that_comes_twice_counts_the_second_time(target: Path) -> None:
    entries: list[Entry] = [
        ("x", DIR, ""),
        ("x/f", FILE, b"1"),
        ("x", FILE, b"2"),
        ("y", LINK, "z"),
        ("y", DIR, ""),
        ("y/f", FILE, b"3"),
    ]
    apply(tar(*entries), target)
    assert (target / "x").read_bytes() == b"2"
    assert (target / "y" / "f").read_bytes() == b"3"
    assert not (target / "z").exists()


def test_a_way_through_a_link_stays_inside(target: Path) -> None:
    apply(tar(("usr/lib", DIR, ""), ("lib", LINK, "/usr/lib"), ("lib/f", FILE, b"x")), target)
    assert (target / "usr" / "lib" / "f").read_bytes() == b"x"
    assert outside(target) == ["layer", "secret"]


@pytest.mark.parametrize(
    "entries",
    [
        [("/etc/passwd", FILE, b"x")],
        [("../evil", FILE, b"x")],
        [("a/../../evil", FILE, b"x")],
        [("..", DIR, "")],
        [("a", DIR, ""), ("a/..", LINK, "/")],
        [(".", FILE, b"x")],
        [("", LINK, "/")],
        [("h", HARD, "/etc/passwd")],
        [("h", HARD, "../secret")],
        [("h", HARD, "missing")],
        [("h", HARD, "")],
        [("d", DIR, ""), ("h", HARD, "d")],
        [("l", LINK, ".."), ("h", HARD, "l/secret")],
        [("l", LINK, "/"), ("h", HARD, "l/etc/passwd")],
        [("f", FILE, b"x"), ("f/g", FILE, b"x")],
        [("l", LINK, "l"), ("l/f", FILE, b"x")],
        [("l", LINK, "nowhere"), ("l/f", FILE, b"x")],
        [(".wh.", FILE, b"")],
        [(".wh...", FILE, b"")],
        [(".wh..", FILE, b"")],
        [("d/.wh.x/f", FILE, b"")],
        [("n" * 300, FILE, b"x")],
        [("c", CHAR, "")],
        [("weird", b"Z", "")],
    ],
    ids=lambda entries: entries[-1][0][:20] + entries[-1][1].decode() + str(entries[-1][2])[:20],
)
def test_a_hostile_entry_is_refused_by_name_and_nothing_leaves_the_root(target: Path, entries: list[Entry]) -> None:
    with pytest.raises(UnsafeLayer) as refused:
        apply(tar(*entries), target)
    assert refused.value.entry.strip("/") == entries[-1][0].strip("/")
    assert outside(target) == ["layer", "secret"]
    assert (target.parent / "secret").read_text() == "secret"


@pytest.mark.parametrize("way", ["..", "../..", "/", "/tmp", ".", "a/../.."])
def test_nothing_is_written_through_a_link_that_leads_out(target: Path, way: str) -> None:
    before = outside(target)
    entries: list[Entry] = [("a", DIR, ""), ("l", LINK, way), ("l/secret", FILE, b"stolen"), ("l/new/f", FILE, b"x")]
    with contextlib.suppress(UnsafeLayer):
        apply(tar(*entries), target)
    assert outside(target) == before
    assert (target.parent / "secret").read_text() == "secret"


def test_a_file_put_over_a_link_replaces_the_link(target: Path) -> None:
    apply(tar(("f", LINK, "../secret"), ("f", FILE, b"new")), target)
    assert (target / "f").read_bytes() == b"new"
    assert not (target / "f").is_symlink()
    assert (target.parent / "secret").read_text() == "secret"


def test_a_hard_link_to_a_link_does_not_follow_it(target: Path) -> None:
    apply(tar(("l", LINK, "../secret"), ("h", HARD, "l"), ("h", FILE, b"new")), target)
    assert (target.parent / "secret").read_text() == "secret"


def test_a_mode_and_a_time_do_not_go_through_a_link(target: Path) -> None:
    os.chmod(target.parent / "secret", 0o600)
    before = os.stat(target.parent / "secret")
    apply(tar(("l", LINK, "../secret"), mode=0o777, mtime=99), target)
    after = os.stat(target.parent / "secret")
    assert (after.st_mode, after.st_mtime) == (before.st_mode, before.st_mtime)


def test_a_directory_replaced_by_a_link_does_not_pass_its_mode_on(target: Path) -> None:
    os.chmod(target.parent, 0o700)
    apply(tar(("d", DIR, ""), ("d", LINK, ".."), mode=0o777), target)
    assert stat.S_IMODE(target.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "name", ["trusted.overlay.redirect", "user.overlay.redirect", "trusted.overlay.opaque", "security.x"]
)
def test_marks_that_only_the_overlay_may_make_are_left_out(target: Path, name: str) -> None:
    apply(tar(("d", DIR, ""), pax_headers={f"SCHILY.xattr.{name}": "y"}), target)
    assert os.listxattr(target / "d") == []


@pytest.mark.parametrize("mtime", [-5, -1e12, 1e15])
def test_a_time_that_no_file_system_knows_is_brought_into_range(target: Path, mtime: float) -> None:
    apply(tar(("f", FILE, b""), pax_headers={"mtime": str(mtime)}), target)
    assert (target / "f").exists()


@pytest.mark.parametrize("cut", [1, 300, 512, 700, 1024, 1500])
def test_an_archive_cut_short_is_refused(target: Path, cut: int) -> None:
    layer = tar(("f", FILE, b"x" * 2000))
    with pytest.raises(SpecError):
        unpack.apply(io.BytesIO(layer[:cut]), target, diff_id=Digest.of(layer))


def test_a_packed_archive_that_is_damaged_is_refused(target: Path) -> None:
    packed = bytearray(gzip.compress(tar(("f", FILE, os.urandom(5000)))))
    for position in (20, len(packed) // 2, len(packed) - 6):
        damaged = bytearray(packed)
        damaged[position] ^= 0xFF
        with pytest.raises(SpecError):
            apply(bytes(damaged), target)
    with pytest.raises(SpecError):
        apply(bytes(packed[: len(packed) // 2]), target)


def test_bytes_after_the_archives_end_count_for_the_diff_id(target: Path) -> None:
    layer = tar(("f", FILE, b"x"))
    unpack.apply(io.BytesIO(layer), target, diff_id=Digest.of(layer))
    with pytest.raises(DigestMismatch):
        unpack.apply(io.BytesIO(layer + b"\0" * 512), target, diff_id=Digest.of(layer))


def test_what_is_no_archive_is_refused(target: Path) -> None:
    for data in (b"", b"hello", b"\0" * 100, os.urandom(4096) + b"x"):
        with pytest.raises(SpecError):
            unpack.apply(io.BytesIO(data), target, diff_id=Digest.of(b"other"))
    with pytest.raises(SpecError, match="zstd"):
        apply(b"\x28\xb5\x2f\xfd....", target)


NAME = st.lists(
    st.sampled_from(["a", "b", "c", "..", ".", "", ".wh.a", ".wh..wh..opq", "secret", "/"]), min_size=1, max_size=4
)
MEMBER = st.tuples(
    NAME.map("/".join),
    st.sampled_from([FILE, DIR, LINK, HARD, FIFO]),
    st.sampled_from(["a", "..", "/", "../secret", "a/b", "."]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(MEMBER, max_size=6))
def test_no_archive_reaches_what_is_outside(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, bytes, str]]
) -> None:
    home = tmp_path_factory.mktemp("h")
    target = home / "layer"
    target.mkdir()
    (home / "secret").write_text("secret")
    entries: list[Entry] = [(name, type, b"x" if type == FILE else link) for name, type, link in members]
    with contextlib.suppress(SpecError):
        apply(tar(*entries), target)
    assert outside(target) == ["layer", "secret"]
    assert (home / "secret").read_text() == "secret"
    assert os.stat(home / "secret").st_nlink == 1
