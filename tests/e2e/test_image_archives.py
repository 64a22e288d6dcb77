"""Images as files, in and out: skopeo, umoci and GNU tar read what we write, and we read what they write."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.needs import Needs

if TYPE_CHECKING:
    from labcontainer.engine import Engine


@pytest.fixture
def made(apart: Engine) -> str:
    """An image of three layers, the last with a whiteout."""
    container = apart.containers.create("lab/base", ["sh", "-c", "echo saved > /kept; rm /etc/passwd"])
    try:
        container.start()
        container.wait()
        container.commit("some/where", "v1", changes=['CMD ["cat", "/kept"]'])
    finally:
        container.remove(force=True)
    return "some/where:v1"


def lab(engine: Engine, *words: str, data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    places = {"LABCONTAINER_ROOT": str(engine.root), "LABCONTAINER_RUN": str(engine.run)}
    command = [sys.executable, "-m", "labcontainer.cli", *words]
    return subprocess.run(command, input=data, capture_output=True, check=False, env={**os.environ, **places})


def skopeo(program: Path, *words: str) -> str:
    command = [str(program), "--insecure-policy", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_what_is_saved_is_read_as_both_kinds_of_archive(apart: Engine, made: str, needs: Needs, tmp_path: Path) -> None:
    program = needs("skopeo")
    image, file = apart.images.get(made), tmp_path / "saved.tar"
    assert lab(apart, "save", "-o", str(file), made, "lab/base").returncode == 0
    for source in (f"oci-archive:{file}:v1", f"docker-archive:{file}:{made}"):
        told = json.loads(skopeo(program, "inspect", "--config", source))
        assert told["rootfs"]["diff_ids"] == [str(each) for each in image.diff_ids]
    with tarfile.open(file) as archive:
        (first, _) = json.load(archive.extractfile("manifest.json") or pytest.fail("no manifest.json"))
    assert first["RepoTags"] == [made]
    assert lab(apart, "save", made, "lab/base").stdout == file.read_bytes()


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzipped"])
def test_what_skopeo_writes_is_loaded_and_runs(
    apart: Engine, made: str, needs: Needs, tmp_path: Path, form: str, packed: bool
) -> None:
    image = apart.images.get(made)
    skopeo(needs("skopeo"), "copy", f"oci:{apart.store.root}:{made}", f"{form}:{tmp_path / 'in.tar'}:other/name:v2")
    data = (tmp_path / "in.tar").read_bytes()
    apart.images.remove(made)
    done = lab(apart, "load", data=gzip.compress(data, 1) if packed else data)
    assert done.stdout == b"Loaded image: other/name:v2\n", done.stderr
    loaded = apart.images.get("other/name:v2")
    assert (loaded.id, loaded.diff_ids) == (image.id, image.diff_ids)
    assert apart.containers.run("other/name:v2", remove=True) == b"saved\n"


def test_umoci_unpacks_a_committed_image_to_the_tree_that_we_run(
    apart: Engine, made: str, needs: Needs, tmp_path: Path, needs_root: None
) -> None:
    words = ["raw", "unpack", "--image", f"{apart.store.root}:{made}", str(tmp_path / "root")]
    subprocess.run([needs("umoci"), *words], check=True, capture_output=True)
    assert (tmp_path / "root" / "kept").read_text() == "saved\n"
    assert not (tmp_path / "root" / "etc" / "passwd").exists()
    ours = apart.containers.run(made, ["sh", "-c", "cd /usr/bin && ls | sort"], remove=True).decode().split()
    assert sorted(path.name for path in (tmp_path / "root" / "usr" / "bin").iterdir()) == sorted(ours)


def entries(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as archive:
        files = (each for each in archive if each.isfile())
        return {each.name: (archive.extractfile(each) or pytest.fail(each.name)).read() for each in files}


def packed(file: Path, content: dict[str, bytes]) -> Path:
    with tarfile.open(file, "w") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file


def test_an_archive_that_is_damaged_or_not_whole_is_refused_and_names_nothing(
    apart: Engine, made: str, tmp_path: Path
) -> None:
    lab(apart, "save", "-o", str(tmp_path / "a.tar"), made)
    content = entries(tmp_path / "a.tar")
    layer = f"blobs/sha256/{apart.images.get(made).layers[-1].digest.hex}"
    apart.images.remove(made)
    apart.store.collect()
    cases: dict[str, dict[str, bytes]] = {
        "content is": {**content, layer: content[layer] + b"x"},
        "does not have": {name: data for name, data in content.items() if name != layer},
        "expected an array": {**content, "manifest.json": b"{}"},
        "not JSON": {**content, "manifest.json": b"{"},
        "Config: is missing": {**content, "manifest.json": b"[{}]"},
        "neither an index.json nor": {"a": b"b"},
    }
    for number, (reason, case) in enumerate(cases.items()):
        done = lab(apart, "load", "-i", str(packed(tmp_path / f"{number}.tar", case)))
        assert done.returncode == 1
        assert reason in done.stderr.decode()
        assert b"Traceback" not in done.stderr
    assert made not in {tag for image in apart.store.images() for tag in image.tags}


def test_a_layout_without_dockers_list_must_be_whole_too(apart: Engine, made: str, tmp_path: Path) -> None:
    lab(apart, "save", "-o", str(tmp_path / "a.tar"), made)
    content = entries(tmp_path / "a.tar")
    del content["manifest.json"]
    layer = f"blobs/sha256/{apart.images.get(made).layers[-1].digest.hex}"
    apart.images.remove(made)
    done = lab(apart, "load", "-i", str(packed(tmp_path / "whole.tar", content)))
    assert done.stdout == f"Loaded image: {made}\n".encode()
    apart.images.remove(made)
    del content[layer]
    done = lab(apart, "load", "-i", str(packed(tmp_path / "part.tar", content)))
    assert b"the archive is not whole" in done.stderr


def test_images_are_tagged_listed_and_removed_in_dockers_words(apart: Engine, made: str) -> None:
    def words(*arguments: str) -> list[str]:
        done = lab(apart, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().splitlines()

    assert words("tag", made, "other:v2") == []
    listing: list[dict[str, Any]] = [json.loads(line) for line in words("images", "--format", "json", "other")]
    assert [(row["Repository"], row["Tag"]) for row in listing] == [("other", "v2")]
    assert words("images", "-q", "-f", "reference=some/*") == [apart.images.get(made).id.short]
    steps = words("history", "--format", "{{.CreatedBy}}", "--no-trunc", made)
    assert steps[0] == "sh -c echo saved > /kept; rm /etc/passwd"
    assert words("rmi", "other:v2") == ["Untagged: other:v2"]
    id = apart.images.get(made).id
    assert words("rmi", id.short)[:2] == [f"Untagged: {made}", f"Deleted: {id}"]
    refused = lab(apart, "rmi", made, "lab/python")
    assert (refused.returncode, refused.stderr.count(b"no such image")) == (1, 1)
    assert b"Untagged: lab/python:latest" in refused.stdout
