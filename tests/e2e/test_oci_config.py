"""What config.json asks for, by runc and by lab-runtime: mounts, limits, devices; then what runc 1.1 does not know."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.bundle import Config, Runtime
from tests.needs import OTHER_RUN

pytestmark = pytest.mark.usefixtures("needs_root")


def test_a_tmpfs_takes_over_what_it_hides_and_options_reach_below(runtime: Runtime, tmp_path: Path) -> None:
    (runtime.bundle / "rootfs" / "etc" / "kept").write_text("kept\n")
    (tmp_path / "shared").mkdir()
    source, tmpfs = str(tmp_path / "shared"), {"type": "tmpfs", "source": "tmpfs"}
    more = [
        {**tmpfs, "destination": "/etc", "options": ["tmpcopyup", "ro"]},
        {"destination": "/in", "type": "bind", "source": source, "options": ["rbind", "rro", "rnosuid"]},
        {**tmpfs, "destination": "/old", "options": ["noatime", "nodiratime"]},
    ]
    runtime.configure(lambda config: config["mounts"].extend(more))
    runtime.shell("cat /etc/kept; touch /etc/x 2>/dev/null || echo no; grep -E ' /(in|old) ' /proc/self/mountinfo")
    kept, no, *lines = runtime.well("run", "one").decode().splitlines()
    assert (kept, no) == ("kept", "no")
    options = {line.split()[4]: set(line.split()[5].split(",")) for line in lines}
    assert options["/in"] >= {"ro", "nosuid"}
    assert options["/old"] >= {"noatime", "nodiratime"}


def test_limits_and_sysctls_are_the_configs(runtime: Runtime) -> None:
    def change(config: Config) -> None:
        config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}]
        config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "9000"}

    runtime.configure(change)
    runtime.shell("grep 'open files' /proc/self/limits; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax")
    words = runtime.well("run", "one").split()
    assert (words[3:5], words[-2:]) == ([b"50", b"60"], [b"1", b"9000"])


def test_a_sysctl_of_the_whole_machine_is_refused(runtime: Runtime) -> None:
    runtime.configure(lambda config: config["linux"].update(sysctl={"vm.swappiness": "60"}))
    done = runtime("create", "one", stdin=subprocess.DEVNULL)
    assert (done.returncode, b"vm.swappiness" in done.stderr) == (1, True)


def test_a_device_has_the_configs_number_and_mode(runtime: Runtime) -> None:
    device = {"path": "/dev/nothing", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 5, "gid": 6}
    runtime.configure(lambda config: config["linux"].update(devices=[device]))
    runtime.shell("stat -c '%t:%T %a %u:%g' /dev/nothing")
    assert runtime.well("run", "one") == b"1:3 640 5:6\n"


@pytest.fixture
def newer(runtime: Runtime) -> Runtime:
    """What version 1.1 of runc does not know."""
    if runtime.command[0].endswith("/runc"):
        pytest.skip(OTHER_RUN + "of lab-runtime, which knows a newer specification")
    return runtime


def test_the_roots_propagation_is_the_configs(newer: Runtime) -> None:
    newer.configure(lambda config: config["linux"].update(rootfsPropagation="unbindable"))
    newer.shell("grep -E ' / / |/rootfs / ' /proc/self/mountinfo")
    assert b"unbindable" in newer.well("run", "one")


def test_the_process_is_scheduled_as_the_config_says(newer: Runtime) -> None:
    def change(config: Config) -> None:
        config["process"]["scheduler"] = {"policy": "SCHED_BATCH", "nice": 7}
        config["process"]["ioPriority"] = {"class": "IOPRIO_CLASS_IDLE", "priority": 0}
        config["linux"]["personality"] = {"domain": "LINUX32"}
        config["process"]["args"] = ["cat", "/proc/self/stat", "/proc/self/personality"]

    newer.configure(change)
    words = newer.well("run", "one").split()
    # Of proc_pid_stat(5), the 19th field is nice, the 41st the policy (3 is SCHED_BATCH).
    assert (words[18], words[40], words[-1]) == (b"7", b"3", b"00000008")


def test_a_policy_that_nobody_knows_is_refused(newer: Runtime) -> None:
    newer.configure(lambda config: config["process"].update(scheduler={"policy": "SCHED_NEVER"}))
    done = newer("create", "one", stdin=subprocess.DEVNULL)
    assert (done.returncode, b"SCHED_NEVER" in done.stderr) == (1, True)


def test_an_execs_cpus_are_its_own(newer: Runtime, tmp_path: Path) -> None:
    newer.create("one")
    newer.well("start", "one")
    cpu = str(min(os.sched_getaffinity(0)))
    process = {
        "args": ["grep", "Cpus_allowed_list", "/proc/self/status"], "cwd": "/", "user": {"uid": 0, "gid": 0},
        "env": ["PATH=/bin"], "execCPUAffinity": {"initial": cpu, "final": cpu},
    }  # fmt: skip
    (tmp_path / "process.json").write_text(json.dumps(process))
    assert newer.well("exec", "-p", str(tmp_path / "process.json"), "one").split()[-1] == cpu.encode()


def test_clocks_inside_are_ahead_as_the_config_says(newer: Runtime) -> None:
    def change(config: Config) -> None:
        config["linux"]["namespaces"].append({"type": "time"})
        config["linux"]["timeOffsets"] = {"boottime": {"secs": 1000000}}

    newer.configure(change)
    newer.shell("cat /proc/uptime; cat /proc/self/timens_offsets")
    words = newer.well("run", "one").split()
    assert float(words[0]) > 1000000
    assert words[-3:] == [b"boottime", b"1000000", b"0"]
