"""``lab system``: what an engine takes up, what it is, and what of it nobody needs."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from labcontainer.engine import disk_usage, prune
from tests.e2e.test_cli_prune import answer

if TYPE_CHECKING:
    from labcontainer.engine import Engine
    from tests.e2e.conftest import Lab


@pytest.fixture
def own_images(engine: Engine) -> Engine:
    """The engine with images and layers of its own, so that removing them takes them from no other test."""
    for name in ("images", "layers"):
        place = (engine.root / name).resolve()
        (engine.root / name).unlink()
        shutil.copytree(place, engine.root / name, symlinks=True) if name == "images" else (engine.root / name).mkdir()
    return engine


def du(*paths: Path) -> int:
    """The bytes of all regular files, as find(1) counts them."""
    found = subprocess.run(
        ["find", *paths, "-type", "f", "-printf", "%i %s\n"], capture_output=True, check=True, text=True
    )
    return sum(int(line.split()[1]) for line in set(found.stdout.splitlines()))


def test_df_tells_what_find_counts(own_images: Engine, lab: Lab) -> None:
    script = "printf %5000d 1 > /f; ln /f /g; ln -s /etc/passwd /h"
    job = own_images.containers.run("lab/base", ["sh", "-c", script], name="job", detach=True)
    job.wait(timeout=30)
    used = own_images.df()
    assert used["LayersSize"] == du(own_images.root / "images", own_images.root / "layers")
    assert [(each["SizeRw"], each["State"]) for each in used["Containers"]] == [(5000, "exited")]
    assert sum(each["Size"] for each in used["BuildCache"]) == du(own_images.root / "cache")
    base, python = sorted(used["Images"], key=lambda image: image["Size"])
    assert (base["Containers"], python["Containers"]) == (1, 0)
    # lab/python stands on lab/base: its layer is there once.
    shared = own_images.images.get("lab/base")
    layer = own_images.store.blobs.path(shared.layers[0].digest), own_images.root / "layers" / shared.diff_ids[0].hex
    assert base["SharedSize"] == python["SharedSize"] == du(*layer)
    rows = {row["Type"]: row for row in map(json.loads, lab("system", "df", "--format", "json").stdout.splitlines())}
    assert list(rows) == ["Images", "Containers", "Local Volumes", "Build Cache"]
    assert (rows["Containers"]["Size"], rows["Containers"]["Reclaimable"]) == ("5kB", "5kB (100%)")
    assert (rows["Images"]["TotalCount"], rows["Images"]["Active"]) == ("2", "1")


def test_df_counts_what_is_in_use_as_not_to_be_had_back(own_images: Engine) -> None:
    own_images.containers.run("lab/base", ["sleep", "60"], name="web", detach=True).exec_run(["sh", "-c", "echo 1 >/f"])
    used = own_images.df()
    base = own_images.images.get("lab/base")
    needed = sum(disk_usage.parts(own_images, base).values())
    assert disk_usage.reclaimable_bytes(own_images, used)["Images"] == used["LayersSize"] - needed
    assert disk_usage.reclaimable_bytes(own_images, used)["Containers"] == 0
    own_images.containers.get("web").remove(force=True)


def test_df_is_dockers_table_and_with_v_four_of_them(engine: Engine, lab: Lab) -> None:
    engine.containers.create("lab/base", "true", name="idle")
    assert lab("system", "df").stdout.split("\n")[0].split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    told = lab("system", "df", "-v").stdout
    heads = ["Images space usage:", "Containers space usage:", "Local Volumes space usage:", "Build cache usage: "]
    assert [told.index(head) for head in heads] == sorted(told.index(head) for head in heads)
    assert re.search(r"^lab/base +latest .* 1$", told, re.MULTILINE)
    assert re.search(r'"true" .* Created +idle$', told, re.MULTILINE)
    whole = json.loads(lab("system", "df", "-v", "--format", "json").stdout)
    assert [len(whole[name]) for name in ("Images", "Containers", "Volumes")] == [2, 1, 0]
    picked = lab("system", "df", "-v", "--format", "{{range .Containers}}{{.Names}} {{.Size}}{{end}}")
    assert picked.stdout == "idle 0B\n"


def test_df_makes_no_images(engine: Engine) -> None:
    (engine.root / "images").unlink()
    assert engine.df()["Images"] == []
    assert engine.info()["Images"] == 0


def test_prune_takes_what_nobody_needs_and_a_start_has_it_made_again(
    own_images: Engine, lab: Lab, lab_call: dict[str, Any]
) -> None:
    run = own_images.containers.run
    run("lab/python", ["true"], name="job", detach=True).wait(timeout=30)
    web = run("lab/base", ["sleep", "60"], name="web", detach=True)
    base = {diff_id.hex for diff_id in own_images.images.get("lab/base").diff_ids}
    orphan = own_images.root / "layers" / ("0" * 64)
    orphan.mkdir()
    (orphan / "file").write_text("x" * 1000)
    done = answer(lab_call, "y\n", "system", "prune")
    assert done.stdout.startswith(
        "WARNING! This will remove:\n  - all stopped containers\n  - all unpacked layers that"
    )
    assert "Deleted Containers:\n" in done.stdout
    assert f"Deleted Layers:\n{'0' * 64}\n\nTotal reclaimed space: 1kB\n" in done.stdout
    assert [each.name for each in own_images.containers.list(all=True)] == ["web"]
    done = answer(lab_call, "y\n", "system", "prune", "-a")
    assert "Deleted Layers:" in done.stdout
    assert "Deleted Caches:" in done.stdout
    assert "untagged: lab/python:latest\n" in done.stdout
    assert "lab/base:latest" not in done.stdout  # web stands on it
    assert {place.name for place in own_images.snapshots.unpacked()} == base  # web stands on it
    assert own_images.df()["BuildCache"] == []
    assert web.exec_run(["ls", "/bin/sh"]).exit_code == 0
    assert lab("run", "--rm", "lab/python", "python3", "-c", "print(1)").stdout == "1\n"
    web.remove(force=True)


def test_system_prune_without_a_yes_removes_nothing(engine: Engine, lab: Lab) -> None:
    engine.containers.create("lab/base", "true", name="idle")
    done = lab("system", "prune", "-a", "--filter", "label=x")
    assert (done.returncode, "  - label=x\n" in done.stdout) == (0, True)
    assert done.stdout.endswith("[y/N] ")
    assert [each.name for each in engine.containers.list(all=True)] == ["idle"]
    assert lab("system", "prune", "-f", "--filter", "colour=red").returncode == 1


def test_layers_that_were_pruned_while_a_container_was_being_made_are_unpacked_again(
    own_images: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots, made = own_images.snapshots, 0
    lowerdirs = snapshots.lowerdirs

    def pruning(*words: Any) -> tuple[Path, ...]:
        nonlocal made
        found = lowerdirs(*words)
        made += 1
        if made == 1:
            prune.layers(own_images, all=True)
        return found

    monkeypatch.setattr(snapshots, "lowerdirs", pruning)
    container = own_images.containers.create("lab/base", ["echo", "hi"])
    container.start()
    container.wait(timeout=30)
    assert container.logs() == b"hi\n"


@pytest.mark.parametrize("direct", [True, False])
def test_info_tells_the_engine_and_its_machine(engine: Engine, lab: Lab, direct: bool) -> None:
    engine.containers.create("lab/base", "true")
    words = ["info"] if direct else ["system", "info"]
    known = json.loads(lab(*words, "--format", "json").stdout)
    assert (known["Containers"], known["ContainersRunning"], known["ContainersStopped"]) == (1, 0, 1)
    assert (known["KernelVersion"], known["DockerRootDir"]) == (os.uname().release, str(engine.root))
    assert f" Running: 0\n Paused: 0\n Stopped: 1\nImages: {known['Images']}\n" in lab(*words).stdout
    mounted = subprocess.check_output(["stat", "-f", "-c", "%T", engine.root], text=True).strip()
    assert dict(known["DriverStatus"])["Backing Filesystem"][:3] == mounted[:3]  # stat says ext2/ext3


def test_version_tells_what_runs(lab: Lab) -> None:
    import labcontainer

    form = "{{.Client.Version}} {{.Server.Version}} {{.Server.PythonVersion}}"
    version = labcontainer.__version__
    assert lab("version", "-f", form).stdout == f"{version} {version} {platform.python_version()}\n"
    assert f" Version:           {version}\n" in lab("version").stdout
    wrong = lab("version", "-f", "{{.Foo}}")
    assert (wrong.returncode, "can't evaluate field Foo in type system.versionInfo" in wrong.stderr) == (1, True)
