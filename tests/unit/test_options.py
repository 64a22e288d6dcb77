from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from labcontainer.cli.settings import settings
from labcontainer.engine import hosts, mounts, options, security
from labcontainer.engine.options import parse
from labcontainer.errors import UsageError
from labcontainer.kernel.capabilities import DOCKER_DEFAULT, Capability
from labcontainer.oci.runtime_spec import Mount


def test_capabilities_are_dropped_and_then_added() -> None:
    assert security.capabilities((), (), privileged=False) == DOCKER_DEFAULT
    assert security.capabilities((), ("ALL",), privileged=False) == frozenset()
    assert security.capabilities(("net_admin",), ("ALL",), privileged=False) == {Capability.CAP_NET_ADMIN}
    assert security.capabilities((), ("CAP_KILL",), privileged=True).isdisjoint({Capability.CAP_KILL})
    with pytest.raises(UsageError, match="there is none of that name"):
        security.capabilities(("fly",), (), privileged=False)


def test_volumes_are_read_in_both_forms(tmp_path: Path) -> None:
    mount = Mount("/data", "bind", str(tmp_path), ("rbind", "rprivate", "ro", "rro"))
    assert mounts.take({"volumes": [f"{tmp_path}:/data:ro"]}) == (mount,)
    assert mounts.take({"volumes": {str(tmp_path): {"bind": "/data/", "mode": "ro"}}}) == (mount,)


@pytest.mark.parametrize("text", ["/tmp", "/nowhere-at-all:/data", "/tmp:data", "/tmp:/", "/tmp:/data:rx", "a:b:c:d"])
def test_a_volume_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        mounts.take({"volumes": [text]})


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
    assert hosts.hostname("h" * 64) == "h" * 64
    with pytest.raises(UsageError, match="1 to 64"):
        hosts.hostname("h" * 65)


def test_a_seccomp_policy_is_none_dockers_or_ones_own(tmp_path: Path) -> None:
    policy = {"defaultAction": "SCMP_ACT_ALLOW"}
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    given = settings({"security_opt": (f"seccomp={tmp_path}/policy.json",)})
    assert parse("true", given).security.seccomp == policy
    assert parse("true", {"seccomp": policy}).security.seccomp == policy
    assert parse("true", {}).security.seccomp is True
    assert parse("true", settings({"security_opt": ("seccomp=unconfined",)})).security.seccomp is False
    with pytest.raises(UsageError):
        parse("true", {"seccomp": "policy.json"})


def test_a_security_option_that_cannot_be_followed_is_refused() -> None:
    with pytest.raises(click.UsageError, match="seccomp=/no/such/file"):
        settings({"security_opt": ("seccomp=/no/such/file",)})
    for text in ("apparmor=docker-default", "label=type:svirt_t", "unknown", "no-new-privileges=perhaps"):
        with pytest.raises(UsageError):
            security.options([text])
    assert security.options(["apparmor=unconfined", "label:disable", "no-new-privileges:false"]) == {
        "no_new_privileges": False
    }
