"""Trees as a hostile container leaves them: too deep for a path, for recursion, for descriptors."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainer.engine import Engine, sizes
from labcontainer.kernel import tree

LEVELS, NAME = 5000, "n" * 255


def dig(top: Path, levels: int = LEVELS) -> None:
    """A file of ten bytes on each level."""
    fd = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(NAME, dir_fd=fd)
        below = os.open(NAME, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
        file = os.open("f", os.O_WRONLY | os.O_CREAT, dir_fd=fd)
        os.write(file, b"0123456789")
        os.close(file)
    os.close(fd)


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 80, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_tree_beyond_every_limit_is_measured_and_removed(tmp_path: Path, few_descriptors: None) -> None:
    top = tmp_path / "top"
    top.mkdir()
    dig(top)
    assert sizes.tree_bytes(top) == LEVELS * 10
    tree.remove_path(top)
    assert not top.exists()


def test_each_directory_is_entered_before_and_left_after_what_is_below_it(tmp_path: Path) -> None:
    for place in ("a/b", "a/c", "d"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "a/f").touch()
    (tmp_path / "a/link").symlink_to("/etc")
    told: list[str] = []
    with tree.opened(tmp_path) as fd:
        tree.walk(
            fd, lambda _, names: told.append(f"+{' '.join(sorted(names))}"), leave=lambda _, name: told.append(name)
        )
    assert sorted(told) == ["+", "+", "+", "+", "+f link", "a", "b", "c", "d"]
    assert told.index("a") > max(told.index("b"), told.index("c"))


def test_no_link_is_followed_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("kept")
    (tmp_path / "top").mkdir()
    (tmp_path / "top/link").symlink_to(tmp_path / "kept")
    assert sizes.tree_bytes(tmp_path / "top") == 0
    tree.remove_path(tmp_path / "top")
    assert (tmp_path / "kept/file").read_text() == "kept"
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    with pytest.raises(OSError, match="link"):
        tree.remove_path(tmp_path / "link")
    assert (tmp_path / "kept/file").read_text() == "kept"


def test_removing_what_is_gone_is_no_error_and_a_file_is_one(tmp_path: Path) -> None:
    tree.remove_path(tmp_path / "gone")
    tree.remove_path(tmp_path / "gone" / "below")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        tree.remove_path(tmp_path / "file")


def test_permissions_that_were_taken_away_keep_nothing_from_its_owner(tmp_path: Path) -> None:
    (tmp_path / "top/closed/below").mkdir(parents=True)
    (tmp_path / "top/closed/below/file").touch()
    (tmp_path / "top/closed/below").chmod(0o500)
    (tmp_path / "top/closed").chmod(0)
    tree.remove_path(tmp_path / "top")
    assert not (tmp_path / "top").exists()


def test_a_directory_that_is_moved_away_below_our_feet_ends_the_walk(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "elsewhere").mkdir()
    dig(tmp_path / "top", 100)
    (tmp_path / "elsewhere/kept").touch()
    deepest = 0

    def enter(fd: int, names: list[str]) -> None:
        nonlocal deepest
        deepest += 1
        if deepest == 100:
            os.rename(tmp_path / "top" / NAME / NAME, tmp_path / "elsewhere" / "moved")

    with tree.opened(tmp_path / "top") as fd, pytest.raises(OSError, match="Stale"):
        tree.walk(fd, enter, leave=lambda parent, name: os.listdir(parent))
    assert (tmp_path / "elsewhere/kept").exists()


def test_a_container_that_digs_is_measured_and_removed(engine: Engine) -> None:
    container = engine.containers.create("lab/base", "true")
    dig(container.directory / "upper")
    assert container.attrs["Id"] == container.id
    engine.containers.prune()
    assert engine.containers.list(all=True) == []
    assert list(engine.container_root.iterdir()) == []
