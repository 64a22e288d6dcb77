"""What lab-runtime does not do is refused by its name in the config, never left out in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labcontainer.errors import SpecError
from labcontainer.runtime import unserved

IDS = [{"containerID": 0, "hostID": 1000, "size": 1}]


@pytest.mark.parametrize(
    ("config", "where"),
    [
        ({"process": {"apparmorProfile": "docker-default"}}, "config.process.apparmorProfile"),
        ({"process": {"selinuxLabel": "system_u:system_r:container_t:s0"}}, "config.process.selinuxLabel"),
        ({"linux": {"mountLabel": "x"}}, "config.linux.mountLabel"),
        ({"linux": {"netDevices": {"eth0": {}}}}, "config.linux.netDevices"),
        ({"linux": {"rootfsPropagation": "everywhere"}}, "config.linux.rootfsPropagation"),
        ({"mounts": [{"destination": "/a"}, {"destination": "/b", "uidMappings": IDS}]}, r"config.mounts\[1\]"),
    ],
)
def test_it_is_named(tmp_path: Path, config: dict[str, Any], where: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(SpecError, match=where):
        unserved.refuse(tmp_path)


def test_what_is_empty_or_served_passes(tmp_path: Path) -> None:
    config = {"process": {"apparmorProfile": "", "args": ["true"]}, "linux": {"rootfsPropagation": "rslave"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    unserved.refuse(tmp_path)
