from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from labcontainer.engine import Engine
    from tests.e2e.conftest import Lab


@pytest.fixture
def pet(engine: Engine, lab: Lab) -> None:
    engine.containers.run(
        "lab/base", ["sh", "-c", "echo hello > /f; sleep 60"], name="pet", detach=True, labels={"a": "b"},
        volumes=["/tmp:/x:ro"], environment={"FOO": "bar"}, log_config={"Config": {"max-size": "1m"}},
    )  # fmt: skip


@pytest.mark.usefixtures("pet")
def test_a_container_is_told_in_dockers_fields(lab: Lab, engine: Engine) -> None:
    [told] = json.loads(lab("inspect", "pet").stdout)
    directory = engine.containers.get("pet").directory
    assert told["State"]["Running"]
    assert told["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert (told["Path"], told["Args"]) == ("sh", ["-c", "echo hello > /f; sleep 60"])
    assert told["HostConfig"]["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m"}}
    assert told["HostConfig"]["Binds"] == ["/tmp:/x:ro"]
    assert told["LogPath"] == str(directory / "log.json")
    assert told["GraphDriver"]["Data"]["UpperDir"] == str(directory / "upper")
    assert "FOO=bar" in told["Config"]["Env"]
    assert not any(text.startswith(("HOSTNAME=", "HOME=")) for text in told["Config"]["Env"])
    assert told == engine.containers.get("pet").attrs


@pytest.mark.usefixtures("pet")
def test_a_template_reaches_everything_and_sizes_when_asked(lab: Lab) -> None:
    done = lab("inspect", "-s", "-f", '{{.Name}} {{.SizeRw}} {{index .Config.Labels "a"}} {{len .Mounts}}', "pet")
    assert done.stdout == "/pet 6 b 1\n"
    assert json.loads(lab("inspect", "-f", "json", "pet").stdout)["Name"] == "/pet"
    wrong = lab("inspect", "-f", "{{.State.Healthy}}", "pet")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert '<.State.Healthy>: map has no entry for key "Healthy"' in wrong.stderr


@pytest.mark.usefixtures("pet")
def test_what_is_missing_is_told_after_what_is_there(lab: Lab) -> None:
    done = lab("inspect", "-f", "{{.Name}}", "nobody", "pet")
    assert (done.returncode, done.stdout, done.stderr) == (1, "/pet\n", "lab: no such object: nobody\n")
    assert json.loads(lab("inspect", "nobody").stdout) == []
    assert lab("inspect", "--type", "image", "pet").returncode == 1


def test_an_image_is_told_in_dockers_fields(lab: Lab, engine: Engine) -> None:
    [told] = json.loads(lab("inspect", "lab/base").stdout)
    image = engine.images.get("lab/base")
    assert (told["Id"], told["RepoTags"]) == (str(image.id), ["lab/base:latest"])
    assert told["RootFS"]["Layers"] == [str(diff_id) for diff_id in image.diff_ids]
    assert told["RepoDigests"] == [f"lab/base@{image.descriptor.digest}"]
    assert told["Config"]["Cmd"] == ["sh"]


@pytest.mark.usefixtures("needs_cgroups")
def test_limits_and_health_are_told(lab: Lab, engine: Engine) -> None:
    container = engine.containers.run(
        "lab/base", ["sleep", "60"], name="pet", detach=True, mem_limit="64m", nano_cpus=5 * 10**8, pids_limit=20,
        healthcheck={"test": "true", "interval": 10**8},
    )  # fmt: skip
    while container.attrs["State"]["Health"]["Status"] != "healthy":
        assert container.status == "running"
    told = container.attrs["HostConfig"]
    assert [told[name] for name in ("Memory", "MemorySwap", "NanoCpus", "PidsLimit")] == [
        1 << 26,
        1 << 27,
        5 * 10**8,
        20,
    ]
    assert lab("inspect", "-f", "{{(index .State.Health.Log 0).ExitCode}}", "pet").stdout == "0\n"
