"""An engine root on a disk that is full, or becomes so: a sentence, nothing left behind, and no harm to what runs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from labcontainer.errors import LabError
from labcontainer.kernel import mount
from tests.kernel.test_faults import until

if TYPE_CHECKING:
    from labcontainer.engine import Container, Engine

PAGE = os.sysconf("SC_PAGE_SIZE")

pytestmark = pytest.mark.usefixtures("needs_root")


@pytest.fixture
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of 1 MiB."""
    place = tmp_path_factory.mktemp("d")
    mount.mount("tmpfs", place, "tmpfs", data="size=1m")
    yield place
    mount.umount2(place, mount.UmountFlag.MNT_DETACH)


@pytest.fixture
def full(engine: Engine, disk: Path) -> Engine:
    """The engine, with its containers on the small disk."""
    engine.containers.run("lab/base", ["true"], remove=True)  # the layers are unpacked elsewhere, and the zygote runs
    wait_until_empty(engine.container_root)
    engine.container_root.rmdir()
    (disk / "containers").mkdir()
    engine.container_root.symlink_to(disk / "containers")
    return engine


def wait_until_empty(directory: Path) -> None:
    """A container's files go when its end has been told."""
    while any(directory.iterdir()):
        time.sleep(0.01)


def leave_free(disk: Path, pages: int) -> None:
    """Fill `disk` up to the last `pages`."""
    with open(disk / "filler", "wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while file.write(bytes(PAGE)):
                pass
        file.truncate((file.tell() // PAGE - pages) * PAGE)


def attempt(run: Callable[[], object]) -> str:
    """Empty where `run` succeeds, else its error's text."""
    try:
        run()
    except (LabError, OSError) as error:
        return str(error).lower()
    return ""


def test_a_disk_full_at_any_stage_of_a_start_gives_a_sentence_and_leaves_nothing(full: Engine, disk: Path) -> None:
    outcomes = []
    for pages in range(20):
        leave_free(disk, pages)
        outcomes.append(attempt(lambda: full.containers.run("lab/base", ["true"], remove=True)))
        wait_until_empty(full.container_root)
    failed = [text for text in outcomes if text]
    assert 0 < len(failed) < len(outcomes)
    assert outcomes[: len(failed)] == failed  # more room never does harm
    assert [text for text in failed if "no space left" not in text] == []
    assert full.mend_all() == []


def test_a_container_that_did_not_start_is_kept_with_the_reason_or_not_at_all(full: Engine, disk: Path) -> None:
    for pages in range(12):
        leave_free(disk, pages)
        refused = attempt(lambda: full.containers.run("lab/base", ["true"], detach=True))
        for container in full.containers.list(all=True):
            code = container.wait(timeout=20)["StatusCode"]
            assert ("no space left" in container.state.error.lower(), code) == ((True, 125) if refused else (False, 0))
            container.remove()
        assert os.listdir(full.container_root) == []


def log_lines(container: Container) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (container.directory / "log.json").read_bytes().splitlines()]


def test_a_full_disk_drops_lines_of_the_log_and_does_nothing_else_to_the_container(full: Engine, disk: Path) -> None:
    leave_free(disk, 64)
    script = (
        "i=0; while [ $i -lt 20000 ]; do echo a line of the log with its number $i; i=$((i+1)); done; read x; exit 7"
    )
    container, connection = full.containers.open("lab/base", ["sh", "-c", script], stdin_open=True)
    output = b""
    connection.attach()
    connection.start()
    connection.expect("started")
    while b"number 19999" not in output:
        message = connection.receive()
        output += message.data
    # The disk is full now. The client has got every byte, the log is whole lines, and the container still runs.
    assert output.count(b"\n") == 20000
    assert container.status == "running"
    kept = log_lines(container)
    assert 0 < sum(len(line["log"]) for line in kept) < len(output)
    connection.feed(b"on\n")
    assert connection.pump(lambda stream, data: None).code == 7
    connection.close()
    assert container.state.exit_code == 7
    assert log_lines(container) == kept
    container.remove()


def test_the_log_goes_on_once_there_is_room_again(full: Engine, disk: Path) -> None:
    leave_free(disk, 11)
    script = "head -c 100000 /dev/zero; echo; read x; echo here again"
    container, connection = full.containers.open("lab/base", ["sh", "-c", script], stdin_open=True)
    connection.attach()
    connection.start()
    connection.expect("started")
    received = 0
    while received < 100_001:
        received += len(connection.receive().data)
    (disk / "filler").unlink()
    connection.feed(b"on\n")
    assert connection.pump(lambda stream, data: None).code == 0
    connection.close()
    assert container.logs().endswith(b"here again\n")
    missing = [int(line["attrs"]["dropped"]) for line in log_lines(container) if "attrs" in line]
    assert sum(len(line["log"]) for line in log_lines(container)) + sum(missing) == received + len("here again\n")
    container.remove()


def test_the_end_of_a_container_is_written_down_on_a_full_disk(full: Engine, disk: Path) -> None:
    container = full.containers.run("lab/base", ["sleep", "60"], detach=True)
    leave_free(disk, 0)
    container.kill()
    assert container.wait(timeout=20) == {"StatusCode": 137}
    assert full.mend_all() == []
    (disk / "filler").unlink()
    container.remove()


def test_a_disk_too_small_for_an_image_is_a_sentence_and_the_next_start_has_room(disk: Path) -> None:
    (disk / "root").mkdir()
    places = {"LABCONTAINER_ROOT": str(disk / "root"), "LABCONTAINER_RUN": str(disk.parent / f"{disk.name}-run")}

    def lab(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "labcontainer.cli", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **places})

    refused = lab("run", "--rm", "lab/base", "true")
    assert (refused.returncode, "Traceback" in refused.stderr) == (125, False)
    assert f"no space left on device; see df -h {disk}/root" in refused.stderr
    mount.mount("none", disk, "tmpfs", mount.MountFlag.MS_REMOUNT, data="size=1g")
    assert (lab("run", "--rm", "lab/base", "echo", "well")).stdout == "well\n"
    partial = [path for path, names, files in os.walk(disk) if path.endswith("partial") and (names or files)]
    assert partial == []
    assert os.listdir(disk / "root/containers") == []
    from labcontainer.engine import Engine

    Engine(disk / "root", Path(places["LABCONTAINER_RUN"])).close()
    until(lambda: not [name for name in os.listdir(places["LABCONTAINER_RUN"]) if name.endswith(".sock")])
