"""docker cp's table of sources and destinations on real files, both ways; what docker 28 does was recorded with it.

See: https://docs.docker.com/reference/cli/docker/container/cp/
"""

from __future__ import annotations

from pathlib import Path

import pytest

from labcontainer.engine import Container, Engine, copy, files
from labcontainer.errors import LabError

SOURCES = ("f", "f/", "d", "d/", "d/.", "missing")
DESTINATIONS = ("dir", "dir/", "old", "old/", "new", "new/", "none/new")
# (source, destination) → what is there afterwards, beside dir/ and the file old; all else is refused.
RESULTS: dict[tuple[str, str], set[str]] = {
    ("f", "dir"): {"dir/f"},
    ("f", "dir/"): {"dir/f"},
    ("f", "old"): set(),  # written over
    ("f", "new"): {"new"},
    **{(source, place): {"dir/d/x", "dir/d/sub/y"} for source in ("d", "d/") for place in ("dir", "dir/")},
    **{("d/.", place): {"dir/x", "dir/sub/y"} for place in ("dir", "dir/")},
    **{(source, place): {"new/x", "new/sub/y"} for source in ("d", "d/", "d/.") for place in ("new", "new/")},
}


def lay_out(top: Path) -> None:
    (top / "src/d/sub").mkdir(parents=True)
    for name in ("f", "d/x", "d/sub/y"):
        (top / "src" / name).write_text(f"new {name}")
    (top / "dst/dir").mkdir(parents=True)
    (top / "dst/old").write_text("old")


def found(destination: Path) -> set[str]:
    return {str(path.relative_to(destination)) for path in destination.rglob("*") if path.is_file()} - {"old"}


def check(destination: Path, case: tuple[str, str], refused: LabError | OSError | None) -> None:
    if case not in RESULTS:
        assert refused is not None
        assert found(destination) == set()
    else:
        assert refused is None
        assert found(destination) == RESULTS[case]
    written_over = case == ("f", "old")
    assert (destination / "old").read_text() == ("new f" if written_over else "old")


def attempt(container: Container, act: str, source: str, destination: str) -> LabError | OSError | None:
    try:
        with files.naming(container.name), container.visit() as visit:
            if act == "out":
                copy.copy_from(visit, source, destination, follow_link=False, archive=False)
            else:
                copy.copy_to(visit, source, destination, follow_link=False, owner=None)
    except (LabError, OSError) as error:
        return error
    return None


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("way", ["out", "in"])
def test_a_copy_goes_where_docker_has_it(engine: Engine, tmp_path: Path, way: str, source: str) -> None:
    container = engine.containers.create("lab/base", "true", name="box")
    inside, host = container.directory / "upper", tmp_path
    for number, destination in enumerate(DESTINATIONS):
        for top in (host, inside):
            lay_out(top / str(number))
        ends = (f"/{number}/src/{source}", f"/{number}/dst/{destination}")
        from_top, to_top = ("", str(host)) if way == "out" else (str(host), "")
        refused = attempt(container, way, from_top + ends[0], to_top + ends[1])
        check((host if way == "out" else inside) / str(number) / "dst", (source, destination), refused)
