"""``lab ps``: what it shows of which containers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from labcontainer.errors import NotFound, UsageError

if TYPE_CHECKING:
    from labcontainer.engine import Engine
    from tests.e2e.conftest import Lab


@pytest.fixture
def three(engine: Engine, lab: Lab) -> None:
    """One that runs, one that has ended, one that never began; in that order."""
    engine.containers.run(
        "lab/base", ["sh", "-c", "echo hello > /f; sleep 60"], name="web", detach=True,
        labels={"stage": "test", "com.x.the-owner": "ada"}, volumes=["/tmp:/x:ro"],
    )  # fmt: skip
    engine.containers.run("lab/base", ["sh", "-c", "exit 3"], name="job", detach=True).wait(timeout=30)
    engine.containers.create("lab/base", "true", name="idle")


def names(lab: Lab, *options: str) -> list[str]:
    done = lab("ps", "--format", "{{.Names}}", *options)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.usefixtures("three")
def test_the_table_is_dockers(lab: Lab) -> None:
    heads, idle, job, web = lab("ps", "-a").stdout.splitlines()
    assert re.split(r"\s{2,}", heads) == ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    assert re.split(r"\s{2,}", idle)[1:3] == ["lab/base", '"true"']
    assert re.split(r"\s{2,}", idle)[4:] == ["Created", "idle"]
    assert re.match(r"Exited \(3\) .* ago$", re.split(r"\s{2,}", job)[4])
    assert re.split(r"\s{2,}", web)[2] == '"sh -c \'echo hello >…"'
    assert re.split(r"\s{2,}", web)[4].startswith("Up ")


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "web"),
        (("-a",), "idle job web"),
        (("-l",), "idle"),
        (("-n", "2"), "idle job"),
        (("-f", "status=exited"), "job"),
        (("-f", "status=exited", "-f", "status=created"), "idle job"),
        (("-a", "-f", "exited=3"), "job"),
        (("-a", "-f", "exited=0"), ""),
        (("-a", "-f", "name=^i"), "idle"),
        (("-a", "-f", "label=stage"), "web"),
        (("-a", "-f", "label=stage=prod"), ""),
        (("-a", "-f", "before=job"), "web"),
        (("-a", "-f", "since=web"), "idle job"),
        (("-a", "-f", "ancestor=lab/base"), "idle job web"),
        (("-a", "-f", "ancestor=lab/python"), ""),
        (("-a", "-f", "volume=/x"), "web"),
        (("-a", "-f", "volume=/y"), ""),
        (("-f", "network=none"), "web"),
        (("-f", "network=host"), ""),
        (("-f", "health=none"), "web"),
    ],
    ids=" ".join,
)
def test_those_that_fit_are_shown(lab: Lab, options: tuple[str, ...], expected: str) -> None:
    assert names(lab, *options) == expected.split()


@pytest.mark.usefixtures("three")
def test_a_template_reaches_labels_mounts_and_sizes(lab: Lab) -> None:
    form = 'table {{.Names}}\t{{.Label "com.x.the-owner"}}\t{{.Mounts}}\t{{.State}}\t{{.Size}}'
    heads, web = lab("ps", "--format", form).stdout.splitlines()
    assert heads.split() == ["NAMES", "the", "owner", "MOUNTS", "STATE", "SIZE"]
    assert web.split()[:5] == ["web", "ada", "/tmp", "running", "6B"]
    row = json.loads(lab("ps", "--format", "json").stdout)
    assert (row["Names"], row["State"], row["Labels"]) == ("web", "running", "com.x.the-owner=ada,stage=test")


@pytest.mark.usefixtures("three")
def test_ids_alone_whole_ids_and_sizes_are_shown_when_asked(lab: Lab, engine: Engine) -> None:
    ids = [each.id for each in engine.containers.list(all=True)]
    assert lab("ps", "-aq").stdout.split() == [each[:12] for each in ids]
    assert lab("ps", "-aq", "--no-trunc").stdout.split() == ids
    assert lab("ps", "-lq", "--no-trunc").stdout.split() == ids[:1]
    heads, web = lab("ps", "-s", "--no-trunc").stdout.splitlines()
    assert re.split(r"\s{2,}", heads)[-1] == "SIZE"
    assert re.match(r"6B \(virtual \d", re.split(r"\s{2,}", web)[-1])
    assert "\"sh -c 'echo hello > /f; sleep 60'\"" in web


@pytest.mark.usefixtures("three")
def test_what_makes_no_sense_is_refused(lab: Lab, engine: Engine) -> None:
    assert lab("ps", "-f", "status=bogus").returncode == 1
    assert lab("ps", "-f", "status").returncode != 0
    assert "can't evaluate field Foo" in lab("ps", "--format", "{{.Foo}}").stderr
    for filters in ({"colour": "red"}, {"health": "ill"}, {"exited": "x"}, {"name": "("}):
        with pytest.raises(UsageError):
            engine.containers.list(filters=filters)
    with pytest.raises(NotFound):
        engine.containers.list(before="nobody")


@pytest.mark.usefixtures("needs_cgroups")
def test_a_paused_container_says_so(lab: Lab, engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sleep", "60"], name="pet", detach=True)
    container.pause()
    assert lab("ps", "--format", "{{.State}} {{.Status}}").stdout.startswith("paused Up ")
    assert "(Paused)" in lab("ps").stdout
    container.unpause()
