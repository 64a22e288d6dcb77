"""Docker's conditions, a bundle's policy, and what is refused in it: all as data."""

from __future__ import annotations

import platform
from typing import Any

import pytest

from labcontainer.errors import SpecError
from labcontainer.kernel import seccomp
from labcontainer.kernel.capabilities import DOCKER_DEFAULT
from labcontainer.kernel.seccomp import Loading
from labcontainer.kernel.seccomp.policy import Policy


def allowed(policy: dict[str, Any]) -> set[str]:
    return {name for rule in policy["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}


def rule(**fields: object) -> dict[str, object]:
    return {"names": ["reboot"], "action": "SCMP_ACT_ALLOW", **fields}


def docker(*rules: dict[str, object]) -> dict[str, object]:
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(rules)}


def test_dockers_default_forbids_mount_to_a_container_with_dockers_capabilities() -> None:
    policy = seccomp.resolve(seccomp.docker_default(), capabilities=[cap.name for cap in DOCKER_DEFAULT])
    assert {"read", "execve", "chroot"} <= allowed(policy)
    assert not {"mount", "bpf", "reboot", "open_by_handle_at"} & allowed(policy)


def test_dockers_default_allows_mount_with_cap_sys_admin() -> None:
    assert {"mount", "bpf", "clone3"} <= allowed(
        seccomp.resolve(seccomp.docker_default(), capabilities=["CAP_SYS_ADMIN"])
    )


def test_clone3_pretends_not_to_exist_where_its_flags_cannot_be_read() -> None:
    policy = seccomp.resolve(seccomp.docker_default(), capabilities=[])
    (clone3,) = (rule for rule in policy["syscalls"] if "clone3" in rule["names"])
    assert (clone3["action"], clone3["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)


def test_an_errno_of_0_and_what_is_said_to_an_agent_are_kept() -> None:
    said = {"flags": ["SECCOMP_FILTER_FLAG_LOG"], "listenerPath": "/run/agent", "listenerMetadata": "for you"}
    resolved = seccomp.resolve({**docker(rule(action="SCMP_ACT_ERRNO", errnoRet=0)), **said}, capabilities=[])
    assert resolved["syscalls"] == [{"names": ["reboot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0}]
    assert {key: resolved[key] for key in said} == said


def test_an_older_policy_of_dockers_names_one_call_in_each_rule() -> None:
    policy = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"name": "reboot", "action": "SCMP_ACT_ALLOW"}]}
    assert allowed(seccomp.resolve(policy, capabilities=[])) == {"reboot"}


@pytest.mark.parametrize("policy", [{"syscalls": "reboot"}, {"syscalls": ["reboot"]}, {"archMap": {"x": 1}}])
def test_what_is_no_policy_at_all_is_refused(policy: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="seccomp policy"):
        seccomp.resolve({"defaultAction": "SCMP_ACT_ERRNO", **policy}, capabilities=[])


def notifying(**more: object) -> dict[str, object]:
    return {**docker(rule(action="SCMP_ACT_NOTIFY")), "listenerPath": "/run/agent", **more}


def test_flags_are_those_of_the_policy_and_a_listener_where_it_notifies() -> None:
    flag = seccomp.FilterFlag
    asked = ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]
    both = flag.SECCOMP_FILTER_FLAG_LOG | flag.SECCOMP_FILTER_FLAG_SPEC_ALLOW
    assert Loading.from_json({**docker(rule()), "flags": asked}) == Loading(both)
    loading = Loading.from_json(notifying(flags=asked, listenerMetadata="for you"))
    assert loading == Loading(both | flag.SECCOMP_FILTER_FLAG_NEW_LISTENER, "/run/agent", "for you")


def test_threads_and_a_listener_together_need_a_third_flag() -> None:
    loading = Loading.from_json(notifying(flags=["SECCOMP_FILTER_FLAG_TSYNC"]))
    assert seccomp.FilterFlag.SECCOMP_FILTER_FLAG_TSYNC_ESRCH in loading.flags


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"flags": ["SECCOMP_FILTER_FLAG_NEW_LISTENER"]}, "linux.seccomp.flags"),
        ({"listenerPath": None}, "linux.seccomp.listenerPath"),
        ({"listenerPath": None, "listenerMetadata": "for nobody"}, "linux.seccomp.listenerMetadata"),
    ],
)
def test_a_wrong_way_of_loading_is_refused(said: dict[str, object], path: str) -> None:
    with pytest.raises(SpecError, match=path):
        Loading.from_json(notifying(**said))


def test_an_include_wants_every_capability_and_an_exclude_any() -> None:
    both = {"caps": ["CAP_SYS_BOOT", "CAP_CHOWN"]}
    included, excluded = docker(rule(includes=both)), docker(rule(excludes=both))
    assert not seccomp.resolve(included, capabilities=["CAP_CHOWN"])["syscalls"]
    assert seccomp.resolve(included, capabilities=["CAP_CHOWN", "CAP_SYS_BOOT"])["syscalls"]
    assert not seccomp.resolve(excluded, capabilities=["CAP_CHOWN"])["syscalls"]
    assert seccomp.resolve(excluded, capabilities=["CAP_KILL"])["syscalls"]


@pytest.mark.parametrize(("version", "kept"), [("3.0", True), ("99.0", False)])
def test_a_rule_may_ask_for_a_linux_version(version: str, kept: bool) -> None:
    assert bool(seccomp.resolve(docker(rule(includes={"minKernel": version})), capabilities=[])["syscalls"]) == kept
    assert bool(seccomp.resolve(docker(rule(excludes={"minKernel": version})), capabilities=[])["syscalls"]) != kept


@pytest.mark.skipif(platform.machine() != "x86_64", reason="belongs to another run: on x86-64")
def test_architectures_come_with_the_32_bit_ones_that_this_machine_also_runs() -> None:
    policy = seccomp.resolve(seccomp.docker_default(), capabilities=[])
    assert policy["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]


def test_a_bundles_policy_resolves_to_itself() -> None:
    policy = seccomp.resolve(seccomp.docker_default(), capabilities=["CAP_CHOWN"])
    assert seccomp.resolve(policy, capabilities=[]) == policy


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        ({}, "linux.seccomp.defaultAction"),
        ({"defaultAction": 1}, "linux.seccomp.defaultAction"),
        ({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": True}, "linux.seccomp.defaultErrnoRet"),
        (docker(rule(names="reboot")), "linux.seccomp.syscalls[0].names"),
        (docker(rule(), rule(args=[{"index": 6}])), "linux.seccomp.syscalls[1].args[0].index"),
        (docker(rule(args=["x"])), "linux.seccomp.syscalls[0].args[0]"),
        (
            docker(rule(args=[{"index": 0, "op": "SCMP_CMP_EQ", "value": -1}])),
            "linux.seccomp.syscalls[0].args[0].value",
        ),
        (docker(rule(args=[{"index": 0, "op": "SCMP_CMP_EQ", "value": 1 << 64}])), "linux.seccomp.syscalls[0].args[0]"),
        (docker(rule(names=[])), "linux.seccomp.syscalls[0].names"),
        (docker(rule(names=["sendmsg"], action="SCMP_ACT_NOTIFY")), "linux.seccomp.syscalls[0].names"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "linux.seccomp.defaultAction"),
    ],
)
def test_a_wrong_policy_is_refused_with_the_path_of_what_is_wrong(policy: dict[str, Any], path: str) -> None:
    with pytest.raises(SpecError, match=path.replace("[", r"\[")):
        Policy.from_json(policy)
