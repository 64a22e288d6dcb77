from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainer.errors import SpecError
from labcontainer.oci.bundle import Bundle
from labcontainer.oci.resources import Memory, Resources
from labcontainer.oci.runtime_spec import Linux, Mount, Namespace, Process, Root, Spec, User

CONFIG: dict[str, Any] = {
    "ociVersion": "1.2.0",
    "process": {
        "terminal": True,
        "consoleSize": {"height": 24, "width": 80},
        "user": {"uid": 0, "gid": 0, "umask": 18, "additionalGids": [5]},
        "args": ["sh", "-c", "echo höhle"],
        "env": ["PATH=/bin"],
        "cwd": "/",
        "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"]},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 18446744073709551615}],
        "noNewPrivileges": True,
        "oomScoreAdj": 0,
        "apparmorProfile": "p",
        "selinuxLabel": "l",
    },
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "h",
    "domainname": "d",
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]}],
    "annotations": {"a": "b"},
    "linux": {
        "namespaces": [{"type": "pid"}, {"type": "network", "path": "/proc/1/ns/net"}],
        "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
        "devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 438, "uid": 0, "gid": 0}],
        "cgroupsPath": "/x",
        "resources": {
            "devices": [{"allow": False, "access": "rwm"}],
            "memory": {
                "limit": 1,
                "reservation": 2,
                "swap": -1,
                "kernel": 3,
                "kernelTCP": 4,
                "swappiness": 0,
                "disableOOMKiller": True,
                "useHierarchy": True,
                "checkBeforeUpdate": True,
            },
            "cpu": {
                "shares": 1,
                "quota": -1,
                "burst": 2,
                "period": 3,
                "realtimeRuntime": 4,
                "realtimePeriod": 5,
                "cpus": "0-1",
                "mems": "0",
                "idle": 0,
            },
            "pids": {"limit": 9},
            "blockIO": {
                "weight": 10,
                "leafWeight": 20,
                "weightDevice": [{"major": 8, "minor": 0, "weight": 500, "leafWeight": 300}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}],
                "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 601}],
                "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 300}],
                "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 301}],
            },
            "hugepageLimits": [{"pageSize": "2MB", "limit": 209715200}],
            "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]},
            "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}},
            "unified": {"memory.high": "1"},
        },
        "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]},
        "rootfsPropagation": "slave",
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
        "sysctl": {"net.ipv4.ip_forward": "1"},
        "mountLabel": "m",
    },
}


def changed(*path: str | int, to: object) -> dict[str, Any]:
    copy = json.loads(json.dumps(CONFIG))
    here = copy
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = to
    return dict(copy)


def test_what_is_read_is_written_again_the_same() -> None:
    assert Spec.from_json(CONFIG).to_json() == CONFIG


def test_numbers_that_are_nought_are_written() -> None:
    spec = Spec("1.2.0", Root("rootfs"), Process("/", User(0, 0), oom_score_adj=0))
    assert spec.to_json()["process"] == {"cwd": "/", "user": {"uid": 0, "gid": 0}, "oomScoreAdj": 0}


def test_a_bundle_keeps_its_spec(tmp_path: Path) -> None:
    spec = Spec(
        "1.2.0", Root("rootfs"), mounts=(Mount("/proc", "proc"),),
        linux=Linux(namespaces=(Namespace("pid"),), resources=Resources(memory=Memory(limit=1 << 40))),
    )  # fmt: skip
    bundle = Bundle(tmp_path)
    bundle.write(spec)
    assert bundle.read() == spec
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ([], "config: expected an object, found an array"),
        ({}, "config.ociVersion: is missing"),
        (changed("ociVersion", to="2.0.0"), "config.ociVersion"),
        (changed("root", to=None), "config.root: is missing"),
        (changed("process", "cwd", to="tmp"), "config.process.cwd: 'tmp' is not an absolute path"),
        (changed("process", "user", to=None), "config.process.user: is missing"),
        (changed("process", "user", "uid", to="root"), "config.process.user.uid: expected int, found a string"),
        (changed("process", "user", "uid", to=1.0), "config.process.user.uid: expected int, found a number"),
        (changed("process", "args", to="sh"), "config.process.args: expected an array, found a string"),
        (changed("process", "args", 1, to=None), r"config.process.args\[1\]: expected str, found null"),
        (changed("process", "env", 0, to="A=\0"), r"config.process.env\[0\]: the text has a NUL"),
        (changed("process", "env", 0, to="A=\ud800"), r"config.process.env\[0\]: the text is not Unicode"),
        (
            changed("process", "rlimits", 0, "soft", to=1 << 64),
            r"config.process.rlimits\[0\].soft: the number does not fit",
        ),
        (changed("mounts", 0, "destination", to="proc"), r"config.mounts\[0\].destination"),
        (
            changed("linux", "namespaces", 0, to={"type": "pids"}),
            r"config.linux.namespaces\[0\].type: 'pids' is none of",
        ),
        (
            changed("linux", "namespaces", 1, to={"type": "pid"}),
            r"config.linux.namespaces\[1\].type: pid was named before",
        ),
        (changed("linux", "namespaces", 1, "path", to="x"), r"config.linux.namespaces\[1\].path"),
        (changed("linux", "resources", "pids", to={}), "config.linux.resources.pids.limit: is missing"),
        (changed("linux", "sysctl", to={"a": 1}), "config.linux.sysctl.a: expected str"),
    ],
)
def test_what_breaks_the_specification_is_refused_with_its_place(config: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Spec.from_json(config)


def test_bytes_that_are_no_utf8_survive_as_python_passes_them() -> None:
    spec = Spec.from_json(changed("process", "args", 0, to="\udcff"))
    assert spec.process is not None
    assert spec.process.args[0].encode(errors="surrogateescape") == b"\xff"


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_config_is_a_spec_error_that_names_the_file(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "config.json").write_bytes(data)
    with pytest.raises(SpecError, match=r"config\.json"):
        Bundle(tmp_path).read()


def test_a_directory_without_config_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is no bundle"):
        Bundle(tmp_path).read()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=2), max_leaves=4
)


@given(st.sampled_from(["process", "root", "mounts", "linux", "annotations", "hooks", "hostname"]), JSON)
def test_any_value_anywhere_is_a_spec_or_a_spec_error(key: str, value: Any) -> None:
    try:
        Spec.from_json({**CONFIG, key: value})
    except SpecError as error:
        place = str(error)
    else:
        return
    assert f"config.{key}" in place


def test_importing_the_runtime_spec_brings_no_cryptography_and_no_network() -> None:
    heavy = ("hashlib", "ssl", "socket", "asyncio")
    program = f"import sys, labcontainer.oci.bundle; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout == "[]\n"
