from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labcontainer.errors import NotFound
from labcontainer.image import elf, libraries
from labcontainer.image.host_tree import HostTree
from labcontainer.image.layer import Link

PYTHON = Path(os.path.realpath(sys.executable))
SHELL = Path(os.path.realpath("/bin/sh"))


def test_the_interpreter_is_a_program_with_a_loader_and_libraries() -> None:
    found = elf.read(PYTHON)
    assert found is not None
    assert found.interpreter is not None
    assert any(name.startswith(("libc.", "libpython")) for name in found.needed)


def test_a_script_and_a_missing_file_are_no_programs(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    assert elf.read(script) is None
    assert elf.read(tmp_path / "missing") is None
    assert libraries.closure(script) == {}


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_damaged_files_are_no_programs(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(PYTHON.read_bytes()[:64] + data)
    elf.read(path)
    path.write_bytes(b"\x7fELF" + data)
    elf.read(path)


@pytest.mark.parametrize("program", [PYTHON, SHELL])
def test_the_libraries_are_those_that_the_loader_finds(program: Path) -> None:
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("belongs to another run: where ldd works")
    expected = {os.path.realpath(path) for path in re.findall(r"(/\S+) \(0x", listed.stdout)}
    assert {os.path.realpath(path) for path in libraries.closure(program).values()} == expected


def test_a_program_without_its_debugging_symbols_still_runs(tmp_path: Path) -> None:
    short = tmp_path / "sh"
    short.write_bytes(elf.loadable(SHELL))
    short.chmod(0o755)
    assert short.stat().st_size <= SHELL.stat().st_size
    done = subprocess.run([short, "-c", "echo runs"], capture_output=True, text=True, check=True)
    assert done.stdout == "runs\n"


def test_a_program_is_taken_with_the_links_that_lead_to_it() -> None:
    tree = HostTree()
    tree.add_program(Path("/bin/sh"))
    assert str(SHELL).strip("/") in tree.entries
    for path, entry in tree.entries.items():
        if isinstance(entry, Link):
            assert os.readlink(f"/{path}") == entry.target


def test_what_is_below_already_is_not_taken_again() -> None:
    below = HostTree()
    below.add_program(Path("/bin/sh"))
    tree = HostTree(below.entries)
    tree.add_program(Path("/bin/sh"))
    assert tree.entries == {}


def test_links_in_a_circle_are_not_followed_for_ever(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(NotFound):
        HostTree().add(tmp_path / "a")


def test_a_moved_prefix_is_taken_under_its_new_name(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "os.py").write_text("x")
    tree = HostTree(moved=(tmp_path, Path("/usr/local")))
    assert tree.add(tmp_path / "lib" / "os.py") == "usr/local/lib/os.py"
    assert list(tree.entries) == ["usr/local/lib/os.py"]
