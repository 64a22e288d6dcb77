from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labcontainer.errors import SpecError
from labcontainer.oci.bundle import Bundle
from labcontainer.oci.runtime_spec import Spec

CONFIG: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {"cwd": "/", "user": {"uid": 0, "gid": 0, "additionalGids": [5]}, "args": ["sh"], "oomScoreAdj": 100},
    "root": {"path": "rootfs", "readonly": True},
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
    "linux": {
        "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
        "namespaces": [{"type": "pid"}],
        "resources": {"memory": {"limit": 67108864}, "devices": [{"allow": False, "access": "rwm"}]},
        "seccomp": {"defaultAction": "SCMP_ACT_ERRNO"},
    },
}


def test_what_is_read_is_what_is_written() -> None:
    assert json.loads(json.dumps(Spec.from_json(CONFIG).to_json())) == CONFIG


def test_what_is_unknown_is_passed_over() -> None:
    assert Spec.from_json({**CONFIG, "vm": {}, "annotations": {"a": "b"}}).annotations == {"a": "b"}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"ociVersion": 1}, r"config\.ociVersion"),
        ({"ociVersion": "2.0.0"}, r"config\.ociVersion"),
        ({"root": {}}, r"config\.root\.path: is missing"),
        ({"root": []}, r"config\.root: expected an object, found an array"),
        ({"mounts": [{"destination": "proc"}]}, r"config\.mounts\[0\]\.destination"),
        ({"process": {"cwd": "/", "user": {"uid": "0", "gid": 0}}}, r"config\.process\.user\.uid: expected int"),
        ({"process": {"cwd": "/", "user": {"uid": True, "gid": 0}}}, r"config\.process\.user\.uid"),
        ({"process": {"cwd": "tmp", "user": {"uid": 0, "gid": 0}}}, r"config\.process\.cwd"),
        ({"linux": {"resources": {"pids": {}}}}, r"config\.linux\.resources\.pids\.limit: is missing"),
    ],
)
def test_what_breaks_the_specification_is_named_by_its_place(change: dict[str, Any], place: str) -> None:
    with pytest.raises(SpecError, match=place):
        Spec.from_json({**CONFIG, **change})


def test_a_bundle_is_read_as_it_was_written(tmp_path: Path) -> None:
    Bundle(tmp_path).write(Spec.from_json(CONFIG))
    assert json.loads((tmp_path / "config.json").read_text()) == CONFIG
    assert Bundle(tmp_path).read() == Spec.from_json(CONFIG)


def test_a_directory_without_a_config_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is no bundle"):
        Bundle(tmp_path).read()
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(SpecError, match=r"config\.json"):
        Bundle(tmp_path).read()
