"""The reader of tar archives, against archives that Python's tarfile has written."""

import contextlib
import io
import os
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainer.errors import SpecError, UnsafeLayer
from labcontainer.image.tar import Entry, Reader

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
LONG = "/".join(["a-name-of-some-length"] * 12)


def archive(*members: tarfile.TarInfo, format: int = tarfile.PAX_FORMAT, data: bytes = b"") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=format) as file:
        for member in members:
            file.addfile(member, io.BytesIO(data) if member.size else None)
    return packed.getvalue()


def member(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(made, key, value)
    return made


def read(data: bytes, chunk_bytes: int = 1 << 20) -> list[tuple[Entry, bytes]]:
    reader = Reader(io.BytesIO(data), chunk_bytes=chunk_bytes)
    found = [(entry, b"".join(reader.content())) for entry in reader]
    reader.finish()
    return found


@pytest.mark.parametrize("format", FORMATS)
def test_every_kind_of_entry_is_read_in_every_format(format: str) -> None:
    made = [
        member("d", type=tarfile.DIRTYPE, mode=0o1777),
        member("d/f", size=3, mode=0o4755, uid=1000, gid=50, mtime=1_700_000_000),
        member("l", type=tarfile.SYMTYPE, linkname="d/f"),
        member("h", type=tarfile.LNKTYPE, linkname="d/f"),
        member("c", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        member("p", type=tarfile.FIFOTYPE),
    ]
    entries = read(archive(*made, format=FORMATS[format], data=b"abc"))
    assert [(entry.name.rstrip("/"), entry.type) for entry, _ in entries] == [(each.name, each.type) for each in made]
    file, content = entries[1]
    assert (file.mode, file.uid, file.gid, file.mtime_ns, content) == (0o4755, 1000, 50, 1_700_000_000 * 10**9, b"abc")
    assert [entry.link for entry, _ in entries[2:4]] == ["d/f", "d/f"]
    assert (entries[4][0].major, entries[4][0].minor, entries[0][0].mode) == (1, 3, 0o1777)


@pytest.mark.parametrize("format", ["gnu", "pax"])
def test_long_names_and_targets_are_whole(format: str) -> None:
    made = [member(LONG, size=1), member("l", type=tarfile.SYMTYPE, linkname=LONG)]
    (file, _), (link, _) = read(archive(*made, format=FORMATS[format], data=b"x"))
    assert (file.name, link.link) == (LONG, LONG)


def test_numbers_beyond_octal_digits_are_read() -> None:
    made = member("f", uid=1 << 30, gid=1 << 31, mtime=1 << 34, type=tarfile.DIRTYPE)
    ((entry, _),) = read(archive(made, format=tarfile.GNU_FORMAT))
    assert (entry.uid, entry.gid, entry.mtime_ns) == (1 << 30, 1 << 31, (1 << 34) * 10**9)


def test_pax_records_say_more_than_the_header() -> None:
    headers = {"mtime": "1700000000.123456789", "SCHILY.xattr.user.note": "ü", "uid": "4000000000"}
    ((entry, _),) = read(archive(member("f", pax_headers=headers)))
    assert entry.mtime_ns == 1_700_000_000_123_456_789
    assert (dict(entry.xattrs), entry.uid) == ({"user.note": "ü".encode()}, 4_000_000_000)


def test_a_name_that_is_not_utf_8_comes_back_as_it_was() -> None:
    name = os.fsdecode(b"caf\xe9")
    ((entry, _),) = read(archive(member(name), format=tarfile.GNU_FORMAT))
    assert os.fsencode(entry.name) == b"caf\xe9"


@given(st.integers(1, 3000), st.lists(st.integers(0, 2000), max_size=6))
def test_chunks_of_any_size_give_the_same_entries(chunk_bytes: int, sizes: list[int]) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as file:
        for number, size in enumerate(sizes):
            file.addfile(member(f"{LONG}{number}", size=size), io.BytesIO(bytes([number]) * size))
    found = read(packed.getvalue(), chunk_bytes)
    assert [(entry.size, content) for entry, content in found] == [
        (size, bytes([number]) * size) for number, size in enumerate(sizes)
    ]


@given(st.binary(max_size=2000), st.integers(0, 1600), st.binary(min_size=1, max_size=4))
def test_damage_is_an_error_of_ours_or_no_harm(noise: bytes, at: int, patch: bytes) -> None:
    packed = bytearray(archive(member(LONG, size=5, pax_headers={"mtime": "1.5"}), data=b"12345"))
    packed[at : at + len(patch)] = patch
    for data in (noise, bytes(packed), bytes(packed[:at])):
        with contextlib.suppress(SpecError):
            read(data)


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ({"size": "-5"}, "no number"),
        ({"mtime": "1e300"}, "no number"),
        ({"uid": "4294967296"}, "out of range"),
        ({"GNU.sparse.size": "10", "GNU.sparse.map": "0,5,3,5"}, "overlap"),
        ({"GNU.sparse.size": "10", "GNU.sparse.map": "0,50"}, "beyond its size"),
        ({"GNU.sparse.size": "10", "GNU.sparse.map": "0,5,x"}, "no number"),
        ({"GNU.sparse.size": "10", "GNU.sparse.map": "0,5"}, "differ in length"),
        ({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "10"}, "cut short"),
    ],
)
def test_a_field_that_lies_is_refused_by_the_entrys_name(records: dict[str, str], reason: str) -> None:
    with pytest.raises(UnsafeLayer, match=reason) as refused:
        read(archive(member("liar", pax_headers=records)))
    assert refused.value.entry == "liar"


def test_what_follows_the_end_is_refused_and_zeros_are_not() -> None:
    packed = archive(member("last"))
    assert len(read(packed + bytes(5000))) == 1
    with pytest.raises(UnsafeLayer, match="follow the end") as refused:
        read(packed + b"more")
    assert refused.value.entry == "last"


def test_an_archive_without_an_end_mark_is_taken_as_it_is() -> None:
    assert len(read(archive(member("only"))[:512])) == 1


def test_a_header_larger_than_any_name_is_not_read_into_memory() -> None:
    with pytest.raises(SpecError, match="more than any name needs"):
        read(archive(member("f", pax_headers={"comment": "x" * (2 << 20)})))
