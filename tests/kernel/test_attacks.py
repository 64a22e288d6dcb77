"""Ways out of a container that were found in other engines: each is tried here, and must fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from labcontainer.errors import LabError

if TYPE_CHECKING:
    from labcontainer.engine import Engine
    from labcontainer.engine.container import Container


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, starter_images: Path) -> Iterator[Engine]:
    from labcontainer.engine import Engine

    home = tmp_path_factory.mktemp("a")
    (home / "root").mkdir()
    for shared in ("images", "layers"):
        (starter_images / shared).mkdir(exist_ok=True)
        (home / "root" / shared).symlink_to(starter_images / shared)
    with Engine(home / "root", home / "run") as engine:
        engine.containers.run("lab/base", ["true"], remove=True)  # its zygote is no leak of the first test
        yield engine


def plant(container: Container, path: str, target: str) -> None:
    """Put a link into the container's root before it starts, as a hostile image would have it."""
    link = container.directory / "upper" / path.lstrip("/")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


def run_with_link(lab: Engine, link: str, target: str, **settings: Any) -> str:
    """What a container prints whose image has that link; or the error that refuses it."""
    container = lab.containers.create("lab/base", ["ls", "/"], **settings)
    try:
        plant(container, link, target)
        container.start()
        container.wait(timeout=20)
        said: bytes = container.logs()
        return said.decode()
    except LabError as error:
        return str(error)
    finally:
        container.remove(force=True)


@pytest.mark.parametrize("way", ["..", "../../../../..", "/..", "/proc/1/root", "/proc/self/cwd/.."])
def test_a_link_at_a_mount_point_leads_nowhere_on_the_host(lab: Engine, tmp_path: Path, way: str) -> None:
    """CVE-2021-30465: the mount point of a volume is reached through a link that leads out of the rootfs."""
    source, outside = tmp_path / "source", tmp_path / "outside"
    source.mkdir()
    outside.mkdir()
    volume = {str(source): {"bind": "/data/made/deep", "mode": "rw"}}
    run_with_link(lab, "/data", f"{way}{outside}", volumes=volume)
    assert os.listdir(outside) == []
