"""What a hostile root file system tries on runc and on lab-runtime alike. What runc falls for is a wrong test."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.e2e.bundle import Config, Runtime

pytestmark = pytest.mark.usefixtures("needs_root")


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: text.strip() for name, _, text in (line.partition(":") for line in lines)}


def test_an_image_that_brings_its_own_proc_takes_in_nobody(runtime: Runtime, tmp_path: Path) -> None:
    """CVE-2025-52881: what is written to /proc, or believed of it, must be the Linux kernel's."""
    (runtime.bundle / "rootfs" / "proc" / "self" / "fd").mkdir(parents=True)
    files = {"self/oom_score_adj": "", "thread-self/oom_score_adj": "", "sys/kernel/cap_last_cap": "0\n"}
    for name, text in files.items():
        path = runtime.bundle / "rootfs" / "proc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def without_proc(config: Config) -> None:
        config["mounts"] = [mount for mount in config["mounts"] if mount["destination"] not in ("/proc", "/sys")]
        config["linux"].update(maskedPaths=[], readonlyPaths=[])
        config["process"].update(oomScoreAdj=567, args=["sleep", "60"])

    runtime.configure(without_proc)
    refusal = runtime.refusal("one")
    if refusal:
        assert "/proc/self/fd is not on procfs" in refusal  # runc's way: it runs nothing there
        return
    runtime.well("start", "one")
    init = json.loads(runtime.well("state", "one"))["pid"]
    process = json.loads((runtime.bundle / "config.json").read_text())["process"]
    (tmp_path / "process.json").write_text(json.dumps(process))
    pid_file = tmp_path / "pid"
    command = [*runtime.command, "--root", str(runtime.root), "exec", "-d", "--pid-file", str(pid_file), "-p"]
    nowhere = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*command, str(tmp_path / "process.json"), "one"], check=True, **nowhere)  # type: ignore[call-overload]
    for pid in (init, int(pid_file.read_text())):
        assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "567\n"
        allowed = sum(1 << {"CAP_AUDIT_WRITE": 29, "CAP_KILL": 5, "CAP_NET_BIND_SERVICE": 10}[name]
                      for name in process["capabilities"]["bounding"])  # fmt: skip
        assert int(status(pid)["CapBnd"], 16) == allowed


def test_the_callers_null_device_is_not_given_away(runtime: Runtime, tmp_path: Path) -> None:
    """A command of another user gets its streams, but not the host's /dev/null, for good."""
    null = tmp_path / "null"
    os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    runtime.configure(lambda config: config["process"].update(args=["true"], user={"uid": 1234, "gid": 5}))
    (runtime.bundle / "rootfs" / "bin" / "true").symlink_to("busybox")
    command = [*runtime.command, "--root", str(runtime.root), "run", "one"]
    with null.open("r+b", buffering=0) as stream:
        subprocess.run(command, cwd=runtime.bundle, stdin=stream, stdout=stream, stderr=stream, check=True)
    assert null.stat().st_uid == 0


def test_a_working_directory_by_way_of_a_descriptor_leads_nowhere(runtime: Runtime) -> None:
    """CVE-2024-21626: a descriptor of the runtime's on a directory of the host's."""
    for number in range(3, 13):
        process = {"cwd": f"/proc/self/fd/{number}", "args": ["ls", ".."]}
        runtime.configure(lambda config, change=process: config["process"].update(change))  # type: ignore[misc]
        done = runtime("run", f"of-{number}", stdin=subprocess.DEVNULL)
        assert done.returncode != 0 or set(done.stdout.split()) <= {b"bin", b"proc", b"sys", b"dev", b"tmp", b"etc"}
    runtime.configure(lambda config: config["process"].update(cwd="/", args=["sleep", "60"]))
    runtime.create("one")
    runtime.well("start", "one")
    for number in range(3, 13):
        done = runtime("exec", "--cwd", f"/proc/self/fd/{number}", "one", "ls", "..", stdin=subprocess.DEVNULL)
        assert done.returncode != 0, done.stdout


def test_a_command_finds_its_inheritable_set_and_the_host_s_groups_empty(runtime: Runtime) -> None:
    """CVE-2022-24769 and CVE-2022-29162 of the set; CVE-2022-2995 of groups that its user brings from outside."""
    shutil.copy(str(shutil.which("busybox")), runtime.bundle / "rootfs" / "bin" / "grep")
    command = ["grep", "-E", "^(CapInh|Groups):", "/proc/self/status"]
    runtime.configure(lambda config: config["process"].update(args=command))
    with_groups = {"extra_groups": [0, 6, 1234], "stdin": subprocess.DEVNULL}
    done = runtime("run", "one", **with_groups)
    assert done.stdout.split() == [b"Groups:", b"CapInh:", b"0000000000000000"], done
    runtime.configure(lambda config: config["process"].update(args=["sleep", "60"]))
    runtime.create("one")
    runtime.well("start", "one")
    assert runtime("exec", "one", *command, **with_groups).stdout.split() == done.stdout.split()
    added = runtime("exec", "--cap", "CAP_SYS_PTRACE", "one", *command, **with_groups).stdout.split()
    assert added == done.stdout.split()
