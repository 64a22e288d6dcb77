"""What has changed, read from the marks that an overlay leaves: real overlays first, then marks made by hand."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from labcontainer.runtime import diff

if TYPE_CHECKING:
    from labcontainer.engine import Container, Engine

ROOT = os.geteuid() == 0


@contextmanager
def changed(engine: Engine, script: str, **options: Any) -> Iterator[Container]:
    box = engine.containers.run(
        "lab/base", ["sh", "-c", f"{script}\ntouch /tmp/.done; sleep 60"], detach=True, **options
    )
    try:
        while not (box.directory / "upper" / "tmp" / ".done").exists():
            assert box.status == "running", box.logs()
        yield box
    finally:
        box.remove(force=True)


def lines(box: Container) -> list[str]:
    done = ("/tmp", "/tmp/.done")
    return ["CAD"[each["Kind"]] + " " + each["Path"] for each in box.diff() if each["Path"] not in done]


def test_a_fresh_container_has_changed_nothing(engine: Engine) -> None:
    with changed(engine, "") as box:
        assert lines(box) == []
        box.stop(timeout=0)
        assert lines(box) == []


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("mkdir -p /a/b; echo x > /a/b/f; ln -s f /a/l", ["A /a", "A /a/b", "A /a/b/f", "A /a/l"]),
        ("echo x >> /etc/passwd", ["C /etc", "C /etc/passwd"]),
        ("rm /etc/passwd", ["C /etc", "D /etc/passwd"]),
        ("chmod 600 /etc/passwd", ["C /etc", "C /etc/passwd"]),
        ("chmod 700 /etc", ["C /etc"]),
        ("touch /etc/passwd", ["C /etc", "C /etc/passwd"]),
        # Copied up, and then as it was; made, and then removed: no change.
        ("touch -r /etc/passwd /ref; echo >> /etc/passwd; rm /ref", ["C /etc", "C /etc/passwd"]),
        ("exec 3<>/etc/passwd; exec 3>&-", []),
        ("chown 0:0 /etc/passwd", []),
        ("echo x > /etc/new; rm /etc/new", []),
        ("rm /etc/passwd; mkdir /etc/passwd; touch /etc/passwd/f", ["C /etc", "C /etc/passwd", "A /etc/passwd/f"]),
        ("rm -r /home; echo x > /home", ["C /home"]),
        ("rm -r /home", ["D /home"]),
        ("mv /etc/passwd /etc/p", ["C /etc", "A /etc/p", "D /etc/passwd"]),
        ("mkdir '/a b'; touch \"/a b/ü\n\"", ["A /a b", "A /a b/ü\n"]),
    ],
)
def test_changes_are_told_in_dockers_letters(engine: Engine, script: str, expected: list[str]) -> None:
    with changed(engine, script) as box:
        assert lines(box) == expected


def test_a_directory_made_anew_hides_what_was_in_it(engine: Engine) -> None:
    with changed(engine, "rm -r /var; mkdir /var; echo x > /var/new; mkdir /var/log; echo > /var/log/f") as box:
        found = lines(box)
    assert {"C /var", "A /var/new", "A /var/log/f", "D /var/tmp"} <= set(found)
    assert found == sorted(found, key=lambda line: line[2:].split("/"))


def test_a_moved_directory_is_gone_here_and_new_there(engine: Engine) -> None:
    with changed(engine, "mv /home /moved") as box:
        found = lines(box)
    assert {"D /home", "A /moved", "A /moved/student"} <= set(found)


def test_volumes_show_only_the_place_where_they_are(engine: Engine, tmp_path: Path) -> None:
    with changed(engine, "touch /new/data/f", volumes={str(tmp_path): {"bind": "/new/data"}}) as box:
        assert lines(box) == ["A /new", "A /new/data"]


def test_many_changes_are_told_whole(engine: Engine) -> None:
    script = f"mkdir /m; cd /m; i=0; while [ $i -lt 2000 ]; do : > {'n' * 200}$i; i=$((i+1)); done"
    with changed(engine, script) as box:
        assert len(lines(box)) == 2001


def test_it_reads_no_further_than_a_link(engine: Engine) -> None:
    with changed(engine, "rm -r /home; ln -s /proc /home") as box:
        assert lines(box) == ["C /home"]


# -- marks made by hand


@pytest.fixture
def layers(tmp_path: Path) -> tuple[Path, Path, Path]:
    """The upperdir, and two layers below it, topmost first."""
    upper, top, base = (tmp_path / name for name in ("upper", "top", "base"))
    for path in (upper, top / "d", base / "d" / "sub", base / "gone"):
        path.mkdir(parents=True)
    for file in (top / "d" / "t", base / "d" / "b", base / "d" / "sub" / "f", base / "f"):
        file.write_text(str(file))
    return upper, top, base


def whiteout(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


def mark(path: Path, name: str, value: bytes) -> None:
    os.setxattr(path, f"{'trusted' if ROOT else 'user'}.overlay.{name}", value)


def found(upper: Path, *below: Path, mountpoints: tuple[str, ...] = ()) -> list[str]:
    return [f"{kind.letter} {path}" for path, kind in diff.find(str(upper), map(str, below), mountpoints)]


def test_a_whiteout_of_a_layer_ends_the_look_below(layers: tuple[Path, Path, Path]) -> None:
    upper, top, base = layers
    whiteout(top / "f")
    (upper / "f").write_text("new")
    assert found(upper, top, base) == ["A /f"]
    assert found(upper, base) == ["C /f"]


def test_a_whiteout_of_what_is_not_there_is_no_change(layers: tuple[Path, Path, Path]) -> None:
    upper, top, base = layers
    whiteout(upper / "never")
    whiteout(top / "f")
    whiteout(upper / "f")
    assert found(upper, top, base) == []


def test_an_opaque_directory_removes_what_it_has_not(layers: tuple[Path, Path, Path]) -> None:
    upper, top, base = layers
    (upper / "d").mkdir()
    mark(upper / "d", "opaque", b"y")
    assert found(upper, top, base) == ["C /d", "D /d/b", "D /d/sub", "D /d/t"]
    mark(top / "d", "opaque", b"y")
    assert found(upper, top, base) == ["C /d", "D /d/t"]


def test_a_redirected_directory_brings_along_what_was_in_it(layers: tuple[Path, Path, Path]) -> None:
    # As a Linux kernel with redirect_dir=on leaves it after `mv /d /moved; mv /moved/sub /moved/under; rm /moved/b`.
    upper, top, base = layers
    (upper / "moved" / "under").mkdir(parents=True)
    whiteout(upper / "d")
    whiteout(upper / "moved" / "b")
    whiteout(upper / "moved" / "sub")
    mark(upper / "moved", "redirect", b"/d")
    mark(upper / "moved" / "under", "redirect", b"sub")
    assert found(upper, top, base) == ["D /d", "A /moved", "A /moved/t", "A /moved/under", "A /moved/under/f"]


def test_mount_points_that_were_made_for_it_are_no_change(layers: tuple[Path, Path, Path]) -> None:
    upper, top, base = layers
    for path in ("dev/pts", "gone", "dev2"):
        (upper / path).mkdir(parents=True)
    (upper / "gone").chmod(0o711)
    assert found(upper, top, base, mountpoints=("/dev", "/dev/pts", "/gone")) == ["A /dev2", "C /gone"]


def test_attributes_are_changes_and_the_overlays_own_are_not(layers: tuple[Path, Path, Path]) -> None:
    upper, top, base = layers
    subprocess.run(["cp", "-a", str(base / "f"), str(upper / "f")], check=True)
    mark(upper / "f", "origin", b"x")
    assert found(upper, top, base) == []
    os.setxattr(upper / "f", "user.colour", b"red")
    assert found(upper, top, base) == ["C /f"]


def test_a_link_in_the_way_is_not_followed(layers: tuple[Path, Path, Path], tmp_path: Path) -> None:
    upper, _, base = layers
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").touch()
    (base / "l").symlink_to(tmp_path / "elsewhere")
    (upper / "l").mkdir()
    (upper / "l" / "secret").touch()
    assert found(upper, base) == ["C /l", "A /l/secret"]


def test_a_tree_deeper_than_there_are_descriptors_is_read(layers: tuple[Path, Path, Path]) -> None:
    upper, top, base = layers
    subprocess.run(["mkdir", "-p", "/".join("x" * 1500)], cwd=upper, check=True)
    try:
        assert len(found(upper, top, base)) == 1500
    finally:
        subprocess.run(["rm", "-rf", "x"], cwd=upper, check=True)  # pytest's own cleaning does not get so deep
