from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def environment(starter_images: Path, tmp_path: Path) -> dict[str, str]:
    root = tmp_path / "root"
    root.mkdir()
    (root / "images").symlink_to(starter_images / "images")
    return {**os.environ, "LABCONTAINER_ROOT": str(root), "LABCONTAINER_RUN": str(tmp_path / "run")}


def images(environment: dict[str, str], *options: str) -> list[str]:
    command = [sys.executable, "-m", "labcontainer.cli", "images", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()


def test_images_are_listed_as_docker_lists_them(environment: dict[str, str]) -> None:
    heads, *rows = images(environment)
    assert heads.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert [row.split()[:2] for row in rows] == [["lab/base", "latest"], ["lab/python", "latest"]]


def test_ids_alone_are_short_or_whole(environment: dict[str, str]) -> None:
    short, whole = images(environment, "-q"), images(environment, "-q", "--no-trunc")
    assert [text.removeprefix("sha256:")[:12] for text in whole] == short
    assert {len(text) for text in whole} == {71}


def test_json_has_one_object_a_line(environment: dict[str, str]) -> None:
    rows = [json.loads(line) for line in images(environment, "--format", "json", "--no-trunc")]
    assert [(row["Repository"], row["Tag"]) for row in rows] == [("lab/base", "latest"), ("lab/python", "latest")]
    assert all(row["ID"].startswith("sha256:") for row in rows)
