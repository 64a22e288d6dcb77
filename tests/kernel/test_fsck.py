"""``lab system fsck``: each thing is broken for real, found, and mended without losing anything."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labcontainer.engine import Container, Engine, fsck
from labcontainer.kernel import cgroup, mount, tree
from labcontainer.runtime import channel, state
from labcontainer.runtime.life import Status
from tests.leaks import SLOW


@pytest.fixture
def own_images(engine: Engine) -> Engine:
    """The engine with images and layers of its own: what is broken here is broken for no other test."""
    for name in ("images", "layers"):
        place = (engine.root / name).resolve()
        (engine.root / name).unlink()
        (engine.root / name).mkdir()
        if name == "images":
            shutil.copytree(place, engine.root / name, dirs_exist_ok=True)
    return engine


@pytest.fixture
def ended(engine: Engine) -> Container:
    """A container that has written a file, and has ended."""
    container = engine.containers.run("lab/base", ["sh", "-c", "echo precious > /kept"], name="job", detach=True)
    container.wait(timeout=30 * SLOW)
    return container


def problems(engine: Engine) -> list[str]:
    found = fsck.check(engine.root, engine.run)
    return [f"{finding.subject}: {finding.problem}" for finding in found if not finding.harmless]


def repaired(engine: Engine) -> list[str]:
    """What is still wrong after a repair; what a second look finds must be the same."""
    left = [finding for finding in fsck.repair(engine.root, engine.run) if not finding.mended and not finding.harmless]
    found = [f"{finding.subject}: {finding.problem}" for finding in left]
    assert problems(engine) == found
    return found


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10 * SLOW
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_nothing_is_wrong_with_what_was_not_broken(engine: Engine, ended: Container) -> None:
    web = engine.containers.run("lab/base", ["sleep", "60"], name="web", detach=True)
    engine.containers.create("lab/base", "true", name="idle")
    assert problems(engine) == []
    web.remove(force=True)


# -- containers


BREAKAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "state.json damaged": (lambda place: (place / "state.json").write_text('{"id": '), "its state.json is damaged"),
    "rootfs missing": (lambda place: (place / "rootfs").rmdir(), "its rootfs (its mount point) is missing"),
    "work missing": (lambda place: tree.remove_path(place / "work"), "its work (the overlay's workdir) is missing"),
    "upper missing": (lambda place: shutil.rmtree(place / "upper"), "its upper (what it has written) is missing"),
    "no FIFO": (
        lambda place: subprocess.run(["cp", "--remove-destination", "/dev/null", place / "stdout"], check=True),
        "its stdout is no FIFO",
    ),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_container_is_mended_in_place_and_starts_again(engine: Engine, ended: Container, name: str) -> None:
    act, problem = BREAKAGES[name]
    act(ended.directory)
    assert problems(engine) == [f"container {ended.short_id}: {problem}"]
    assert problems(engine) == [f"container {ended.short_id}: {problem}"]  # a look changes nothing
    assert repaired(engine) == []
    ended.start()
    ended.wait(timeout=30 * SLOW)
    assert (ended.directory / "upper/kept").read_text() == "precious\n"


@pytest.mark.parametrize("name", ["container.json", "request.json", "config.json"])
@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_container_without_its_documents_is_put_away_with_all_it_has_written(
    engine: Engine, ended: Container, name: str, damage: str
) -> None:
    if damage == "missing":
        (ended.directory / name).unlink()
    else:
        (ended.directory / name).write_text("[]")
    assert problems(engine) == [f"container {ended.short_id}: its {name} is {damage}"]
    assert repaired(engine) == []
    assert engine.containers.list(all=True) == []
    [kept] = (engine.root / "quarantine").rglob("kept")
    assert kept.read_text() == "precious\n"


def test_a_container_that_runs_is_never_put_away(engine: Engine) -> None:
    web = engine.containers.run("lab/base", ["sleep", "60"], name="web", detach=True)
    text = (web.directory / "config.json").read_text()
    (web.directory / "config.json").write_text("{")
    assert repaired(engine) == [f"container {web.short_id}: its config.json is damaged"]
    assert web.status == "running"
    (web.directory / "config.json").write_text(text)
    web.remove(force=True)


def test_a_container_whose_processes_were_killed_gets_its_end(engine: Engine) -> None:
    web = engine.containers.run("lab/base", ["sleep", "60"], name="web", detach=True)
    now = web.state
    assert now.monitor
    assert now.init
    os.kill(now.monitor.pid, signal.SIGKILL)
    until(lambda: not now.monitor or not now.monitor.alive())
    assert problems(engine) == [f"container {web.short_id}: runs, but its monitor is gone"]
    os.kill(now.init.pid, signal.SIGKILL)
    until(lambda: not now.init or not now.init.alive())
    found = problems(engine)
    assert f"container {web.short_id}: is written as running, but its processes are gone" in found
    assert repaired(engine) == []
    assert state.load(web.directory).status is Status.STOPPED


def test_a_container_that_lost_its_monitor_gets_another(engine: Engine) -> None:
    web = engine.containers.run("lab/base", ["sleep", "60"], name="web", detach=True)
    monitor = web.state.monitor
    assert monitor
    os.kill(monitor.pid, signal.SIGKILL)
    until(lambda: not monitor.alive())
    fsck.repair(engine.root, engine.run)
    until(lambda: not problems(engine))  # the new one is just writing itself down
    assert web.exec_run(["true"]).exit_code == 0
    web.remove(force=True)


def test_a_container_of_another_boot_has_ended(engine: Engine, ended: Container) -> None:
    fields = json.loads((ended.directory / "state.json").read_text())
    fields.update(status="running", boot_id="00000000-0000-0000-0000-000000000000", finished_ns=None)
    (ended.directory / "state.json").write_text(json.dumps(fields))
    expected = "is written as running, but the machine was restarted since"
    assert problems(engine) == [f"container {ended.short_id}: {expected}"]
    assert repaired(engine) == []
    assert ended.status == "exited"


def test_a_container_that_was_half_made_or_half_removed_goes(engine: Engine, ended: Container) -> None:
    (ended.directory / "state.json").unlink()
    grave = engine.container_root / f".{'a' * 64}"
    (grave / "upper").mkdir(parents=True)
    assert problems(engine) == [
        f"containers/{grave.name}: is a container that is half removed",
        f"container {ended.short_id}: has no state: its engine was killed while it was made",
    ]
    assert repaired(engine) == []
    assert list(engine.container_root.iterdir()) == []


def test_what_is_no_container_is_put_away(engine: Engine) -> None:
    (engine.container_root / "notes.txt").write_text("mine")
    assert problems(engine) == ["containers/notes.txt: is no container"]
    assert repaired(engine) == []
    [kept] = (engine.root / "quarantine").rglob("notes.txt")
    assert kept.read_text() == "mine"


def test_two_containers_of_one_name_are_told_and_left(engine: Engine, ended: Container) -> None:
    other = engine.containers.create("lab/base", "true", name="other")
    record = json.loads((other.directory / "container.json").read_text())
    (other.directory / "container.json").write_text(json.dumps({**record, "name": "job"}))
    [found] = repaired(engine)
    assert "has the name of container" in found


def test_a_missing_layer_is_unpacked_again(own_images: Engine) -> None:
    job = own_images.containers.run("lab/python", ["python3", "-c", "print(1)"], name="job", detach=True)
    job.wait(timeout=30 * SLOW)
    for layer in own_images.snapshots.unpacked():
        shutil.rmtree(layer)
    assert len(problems(own_images)) == 2
    assert all("its layer" in problem and "is missing" in problem for problem in problems(own_images))
    assert repaired(own_images) == []
    job.start()
    job.wait(timeout=30 * SLOW)
    assert job.logs() == b"1\n1\n"


@pytest.mark.usefixtures("needs_root")
def test_a_mount_that_was_left_is_unmounted(engine: Engine, ended: Container) -> None:
    mount.mount("tmpfs", ended.directory / "rootfs", "tmpfs", mount.MountFlag(0), "")
    place = f"containers/{ended.id}/rootfs"
    assert problems(engine) == [f"{place}: is mounted here (tmpfs)"]
    assert repaired(engine) == []
    assert not os.path.ismount(ended.directory / "rootfs")


def test_a_socket_at_which_nobody_listens_is_removed(engine: Engine, ended: Container) -> None:
    place = ended.directory / "monitor.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as left, channel.short(place) as address:
        left.bind(address)
    assert problems(engine) == [f"container {ended.short_id}: has a socket at which nobody listens"]
    assert repaired(engine) == []


# -- what is left outside of containers


@pytest.mark.usefixtures("needs_cgroups")
def test_a_cgroup_that_was_left_is_removed_with_what_is_in_it(engine: Engine, ended: Container) -> None:
    group = cgroup.create(ended.id)
    assert problems(engine) == [f"container {ended.short_id}: its cgroup is left"]
    lost = subprocess.Popen(["sleep", "60"])
    group.add(lost.pid)
    assert problems(engine) == [f"container {ended.short_id}: has ended, but 1 processes are left in its cgroup"]
    assert repaired(engine) == []
    assert lost.wait() == -signal.SIGKILL


@pytest.mark.usefixtures("needs_cgroups")
def test_an_old_empty_cgroup_of_no_container_is_removed_and_a_young_or_busy_one_left(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = cgroup.create("b" * 64)
    try:
        assert problems(engine) == []  # somebody may just be making a container
        monkeypatch.setattr("labcontainer.engine.fsck.leftovers._YOUNG_S", 0.0)
        assert problems(engine) == [f"cgroup {'b' * 12}: is empty, and there is no such container"]
        busy = subprocess.Popen(["sleep", "60"])
        group.add(busy.pid)
        assert problems(engine) == []  # another engine root's
        busy.kill()
        busy.wait()
        until(lambda: not group.pids())
        assert repaired(engine) == []
    finally:
        if any(place.is_dir() for place in group.directories):
            group.remove()


def test_sockets_and_traces_of_killed_processes_are_removed(engine: Engine) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as left:
        left.bind(str(engine.run / "zygote-0-0.sock"))
    (engine.run / "trace-x.jsonl").touch()
    assert problems(engine) == [
        "zygote-0-0.sock: is the socket of a zygote that was killed",
        "trace-x.jsonl: is a trace of an engine that was killed",
    ]
    assert repaired(engine) == []


def test_a_lock_that_somebody_keeps_is_told_with_its_holder(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labcontainer.engine.fsck.leftovers._PATIENCE_S", 0.1)
    with engine.locked():
        pass
    with open(engine.run / "engine.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        expected = f"engine.lock: is held by process {os.getpid()}: every other command waits for it"
        assert problems(engine) == [expected]
        assert repaired(engine) == [expected]


# -- images


def blob(engine: Engine, kind: str) -> Path:
    image = engine.images.get("lab/base")
    digests = {"manifest": image.descriptor.digest, "config": image.id, "layer": image.layers[0].digest}
    return engine.store.blobs.path(digests[kind])


@pytest.mark.parametrize("kind", ["manifest", "config", "layer"])
@pytest.mark.parametrize("damage", ["damaged", "missing"])
def test_a_blob_of_a_starter_image_is_made_again(own_images: Engine, kind: str, damage: str) -> None:
    path = blob(own_images, kind)
    before = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    found = problems(own_images)
    assert f"image lab/base: its {kind} {path.name[:12]} is {damage}" in found
    assert (damage == "damaged") == any(text.startswith(f"images/blobs/sha256/{path.name}") for text in found)
    assert repaired(own_images) == []
    assert path.read_bytes() == before
    assert len(list((own_images.root / "quarantine").rglob(path.name))) == (damage == "damaged")


def test_a_blob_of_another_image_is_put_away_and_named(own_images: Engine) -> None:
    image = own_images.images.get("lab/base")
    own_images.store.tag(image.descriptor, "example.org/mine:1")
    path = blob(own_images, "layer")
    path.write_bytes(b"rubbish")
    found = fsck.repair(own_images.root, own_images.run)
    mine = [finding for finding in found if finding.subject == "image example.org/mine:1"]
    assert [finding.problem for finding in mine] == [f"its layer {path.name[:12]} is damaged"]
    assert "put the same bytes there again" in mine[0].remedy


def test_a_damaged_index_is_put_away_and_the_images_are_listed_again(own_images: Engine) -> None:
    ids = {image.id for image in own_images.store.images()}
    (own_images.root / "images/index.json").write_text("{")
    assert [text.partition(" is damaged")[0] for text in problems(own_images)] == ["images/index.json:"]
    assert repaired(own_images) == []
    assert {image.id for image in own_images.store.images()} == ids
    (own_images.root / "images/index.json").unlink()
    assert problems(own_images) == ["images/index.json: is missing: no image has a name"]
    assert repaired(own_images) == []
    assert {image.id for image in own_images.store.images()} == ids
    assert len(list((own_images.root / "quarantine").rglob("index.json"))) == 1


def test_the_layout_and_what_is_no_blob_are_mended(own_images: Engine) -> None:
    (own_images.root / "images/oci-layout").write_text("{}")
    (own_images.root / "images/blobs/sha256/README").write_text("mine")
    assert problems(own_images) == [
        "images/blobs/sha256/README: is no blob: its name is no digest",
        "images/oci-layout: does not say imageLayoutVersion 1.0.0",
    ]
    assert repaired(own_images) == []
    [kept] = (own_images.root / "quarantine").rglob("README")
    assert kept.read_text() == "mine"


def test_what_was_on_its_way_in_is_removed_unless_somebody_is_at_it(own_images: Engine) -> None:
    half = own_images.root / "layers/partial" / ("c" * 64)
    half.mkdir(parents=True)
    (half / "file").touch()
    download = own_images.root / "images/partial/download"
    download.parent.mkdir(exist_ok=True)
    download.write_text("half")
    fd = os.open(half, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert problems(own_images) == ["images/partial/download: is a download that was cut off"]
    os.close(fd)
    assert problems(own_images)[1:] == [f"layers/partial/{'c' * 12}: is a layer whose unpacking was cut off"]
    assert repaired(own_images) == []


def test_a_layer_that_belongs_to_nothing_is_told_and_harmless(own_images: Engine) -> None:
    (own_images.root / "layers" / ("d" * 64)).mkdir()
    (own_images.root / "layers" / "lost+found").mkdir()
    assert problems(own_images) == ["layers/lost+found: is no unpacked layer"]
    [harmless] = [finding for finding in fsck.repair(own_images.root, own_images.run) if finding.harmless]
    assert (harmless.problem, harmless.mended) == ("belongs to no image and no container", False)
    assert (own_images.root / "layers" / ("d" * 64)).is_dir()


# -- the command


def test_the_command_prints_what_is_wrong_and_exits_by_it(engine: Engine, ended: Container) -> None:
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        places = {"LABCONTAINER_ROOT": str(engine.root), "LABCONTAINER_RUN": str(engine.run)}
        command = [sys.executable, "-m", "labcontainer.cli", "system", "fsck", *options]
        return subprocess.run(command, env={**os.environ, **places}, capture_output=True, text=True, check=False)

    assert (run().returncode, run().stdout) == (0, f"{engine.root}: nothing is wrong\n")
    (ended.directory / "rootfs").rmdir()
    broken = run()
    assert (broken.returncode, broken.stdout.splitlines()[1:]) == (
        1,
        ["    --repair mends it: an empty one is made", f"{engine.root}: 1 findings, 0 of them mended, 1 wrong"],
    )
    [told] = json.loads(run("--json").stdout)
    assert (told["subject"], told["mendable"], told["mended"]) == (f"container {ended.short_id}", True, False)
    mended = run("--repair")
    assert (mended.returncode, "    mended: an empty one is made\n" in mended.stdout) == (0, True)
    assert (ended.directory / "rootfs").is_dir()
