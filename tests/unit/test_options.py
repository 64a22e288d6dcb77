from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from labcontainer.cli.settings import settings
from labcontainer.engine import options
from labcontainer.engine.containers import parse
from labcontainer.errors import UsageError
from labcontainer.kernel.capabilities import DOCKER_DEFAULT, Capability


def test_capabilities_are_dropped_and_then_added() -> None:
    assert options.capabilities((), (), privileged=False) == DOCKER_DEFAULT
    assert options.capabilities((), ("ALL",), privileged=False) == frozenset()
    assert options.capabilities(("net_admin",), ("ALL",), privileged=False) == {Capability.CAP_NET_ADMIN}
    assert options.capabilities((), ("CAP_KILL",), privileged=True).isdisjoint({Capability.CAP_KILL})
    with pytest.raises(UsageError, match="there is none of that name"):
        options.capabilities(("fly",), (), privileged=False)


def test_volumes_are_read_in_both_forms(tmp_path: Path) -> None:
    volume = options.Volume(str(tmp_path), "/data", "ro")
    assert options.volumes([f"{tmp_path}:/data:ro"]) == (volume,)
    assert options.volumes({str(tmp_path): {"bind": "/data", "mode": "ro"}}) == (volume,)
    assert volume.read_only


@pytest.mark.parametrize("text", ["/tmp", "/nowhere-at-all:/data", "/tmp:data", "/tmp:/", "/tmp:/data:rx", "a:b:c:d"])
def test_a_volume_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        options.volumes([text])


def test_a_variable_without_a_value_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_TEST", "mine")
    monkeypatch.delenv("LAB_ABSENT", raising=False)
    assert options.environment(["LAB_TEST", "LAB_ABSENT", "A=b=c"]) == ("LAB_TEST=mine", "A=b=c")


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(TypeError, match="memlimit"):
        parse("true", {"memlimit": "64m"})


@pytest.mark.parametrize("name", ["a", "-ab", "a b", "../x", ""])
def test_a_name_that_could_not_be_typed_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        options.name(name)


def test_a_hostname_longer_than_linux_takes_is_refused() -> None:
    assert options.hostname("h" * 64) == "h" * 64
    with pytest.raises(UsageError, match="1 to 64"):
        options.hostname("h" * 65)


def test_a_seccomp_policy_is_none_dockers_or_ones_own(tmp_path: Path) -> None:
    policy = {"defaultAction": "SCMP_ACT_ALLOW"}
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    assert settings({"security_opt": (f"seccomp={tmp_path}/policy.json",)})["seccomp"] == policy
    assert parse("true", {"seccomp": policy}).seccomp == policy
    assert parse("true", {}).seccomp is True
    assert parse("true", settings({"security_opt": ("seccomp=unconfined",)})).seccomp is False
    with pytest.raises(UsageError):
        parse("true", {"seccomp": "policy.json"})


@pytest.mark.parametrize("text", ["seccomp=/no/such/file", "apparmor=unconfined"])
def test_a_security_option_that_cannot_be_followed_is_refused(text: str) -> None:
    with pytest.raises(click.UsageError, match=text):
        settings({"security_opt": (text,)})
