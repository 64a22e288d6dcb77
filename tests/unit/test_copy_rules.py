"""The rules of names of ``docker cp``; what they come to on real files is compared with docker in tests/e2e."""

from __future__ import annotations

import pytest

from labcontainer.engine import copy_rules
from labcontainer.engine.copy_rules import End, placed
from labcontainer.errors import UsageError
from labcontainer.runtime import lookup

FILE, TREE = End("/src/f", exists=True), End("/src/d", exists=True, directory=True)
CONTENTS = End("/src/d/.", exists=True, directory=True)
DIRECTORY, OLD, NEW = End("/dst/dir", exists=True, directory=True), End("/dst/old", exists=True), End("/dst/new")


@pytest.mark.parametrize(
    ("source", "destination", "expected"),
    [
        (FILE, DIRECTORY, ("/dst/dir", "f")),
        (FILE, OLD, ("/dst", "old")),
        (FILE, NEW, ("/dst", "new")),
        (TREE, DIRECTORY, ("/dst/dir", "d")),
        (TREE, NEW, ("/dst", "new")),
        (TREE, End("/dst/new/"), ("/dst", "new")),
        (CONTENTS, DIRECTORY, ("/dst/dir", "")),
        (CONTENTS, NEW, ("/dst", "new")),
        (End("/", exists=True, directory=True), DIRECTORY, ("/dst/dir", "")),
        (End("/src/f", exists=True, rename="link"), DIRECTORY, ("/dst/dir", "link")),
        (End("/src/f", exists=True, rename="link"), NEW, ("/dst", "new")),
    ],
)
def test_a_copy_goes_where_docker_puts_it(source: End, destination: End, expected: tuple[str, str]) -> None:
    assert placed(source, destination) == expected


@pytest.mark.parametrize(
    ("source", "destination", "why"),
    [(TREE, OLD, "cannot copy directory"), (FILE, End("/dst/new/"), "no such directory")],
)
def test_what_cannot_be_is_refused_before_anything_happens(source: End, destination: End, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        placed(source, destination)


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("box:/f", ("box", "/f")), ("box:f", ("box", "f")), ("box:", ("box", "")), ("box:/a:b", ("box", "/a:b")),
        ("/a:b", ("", "/a:b")), ("./a:b", ("", "./a:b")), ("a", ("", "a")), ("-", ("", "-")), (".:x", ("", ".:x")),
    ],
)  # fmt: skip
def test_a_container_stands_before_the_first_colon(argument: str, parts: tuple[str, str]) -> None:
    assert copy_rules.split_argument(argument) == parts


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/b", "/a/b"), ("a//b/", "/a/b/"), ("/a/./b/.", "/a/b/."), ("a/..", "/"), ("../..", "/"), (".", "/."),
        ("/", "/"), ("//a", "/a"), ("a/b/..", "/a"), ("a/../.", "/."),
    ],
)  # fmt: skip
def test_the_end_of_a_path_is_kept(path: str, expected: str) -> None:
    assert copy_rules.absolute(path) == expected


@pytest.mark.parametrize(
    ("path", "parts"), [("/a/b", ("/a", "b")), ("/a/b/", ("/a", "b")), ("/a/b/.", ("/a/b", ".")), ("/", ("/", ""))]
)
def test_a_path_is_a_directory_and_a_name_in_it(path: str, parts: tuple[str, str]) -> None:
    assert copy_rules.split(path) == parts


@pytest.mark.parametrize(
    ("path", "target", "expected"),
    [
        ("/l", "/d", ("/d", "l")), ("/l/", "/d", ("/d/", "l")), ("/l/.", "/d", ("/d/.", "")),
        ("/d", "/x/d", ("/x/d", "")),
    ],
)  # fmt: skip
def test_a_followed_link_keeps_its_name(path: str, target: str, expected: tuple[str, str]) -> None:
    assert copy_rules.renamed(path, target) == expected


def test_the_base_of_a_path_is_gos() -> None:
    for path, base in {"/a/b": "b", "/a/b/": "b", "/a/b/.": ".", "/": "/", "//": "/", "": "."}.items():
        assert copy_rules.base(path) == base
    assert lookup.base("/a/b/") == "b"


def test_a_mode_is_written_as_go_writes_it() -> None:
    assert lookup.go_mode(0o100644) == 0o644
    assert lookup.go_mode(0o041777) == 1 << 31 | 1 << 20 | 0o777
    assert lookup.go_mode(0o120777) == 1 << 27 | 0o777
    assert lookup.go_mode(0o104755) == 1 << 23 | 0o755
    assert lookup.go_mode(0o020666) == 1 << 26 | 1 << 21 | 0o666
