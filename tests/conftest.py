"""The frame of every test: its own init (`supervisor`), the leak check (`leaks`), what it may ask for (`needs`)."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import supervisor

if TYPE_CHECKING:
    from labcontainer.engine import Engine

pytest_plugins = ["tests.leaks", "tests.needs", "tests.disks"]

# From the quick and certain to the slow: the first failure is the one closest to its cause.
ORDER = ("unit", "kernel", "e2e", "notebooks", "browser")
# Who asks for one of these says something about cgroups, and so belongs to the short run on a cgroup v2 machine.
ABOUT_CGROUPS = frozenset({"group", "needs_cgroups", "needs_cgroup_v2"})
TESTS = Path(__file__).parent
SUPERVISOR = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    # The fork must come before anything starts a thread; --collect-only and --help do no harm by it.
    config.stash[SUPERVISOR] = supervisor.start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if ABOUT_CGROUPS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("cgroups")
    items.sort(key=lambda item: ORDER.index(item.path.relative_to(TESTS).parts[0]))


@pytest.fixture(scope="session")
def supervisor_pid(pytestconfig: pytest.Config) -> int:
    """The process below which everything that this run starts is found, orphans too."""
    return pytestconfig.stash[SUPERVISOR]


@pytest.fixture(scope="session")
def free_port() -> int:
    """A TCP port of loopback on which nobody listened a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def starter_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine's root that holds the starter images, made once for the whole run, or before it for a slow machine."""
    from labcontainer.image import starter
    from labcontainer.image.store import Store

    root = tmp_path_factory.mktemp("images")
    if made := os.environ.get("LAB_STARTER_IMAGES"):
        shutil.copytree(made, root / "images")
    starter.ensure(Store(root / "images"))
    return root


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory, starter_images: Path) -> Iterator[Engine]:
    """An engine with a private root and run directory, which has the starter images."""
    from labcontainer.engine import Engine

    # A socket's path has at most 107 bytes: tmp_path, which carries the test's name, would be too long for it.
    home = tmp_path_factory.mktemp("e")
    (home / "root").mkdir()
    # Content-addressed, so sharing is safe; each test would else unpack the same layers again.
    for shared in ("images", "layers"):
        (starter_images / shared).mkdir(exist_ok=True)
        (home / "root" / shared).symlink_to(starter_images / shared)
    with Engine(home / "root", home / "run") as engine:
        yield engine


@pytest.fixture
def apart(tmp_path_factory: pytest.TempPathFactory, starter_images: Path) -> Iterator[Engine]:
    """As `engine`, but with images and layers of its own: for tests that tag, remove and collect."""
    from labcontainer.engine import Engine

    home = tmp_path_factory.mktemp("e")
    # A blob is never written to again, only replaced: one that has two names is as good as a copy.
    shutil.copytree(starter_images / "images", home / "root" / "images", copy_function=os.link)
    with Engine(home / "root", home / "run") as engine:
        yield engine
