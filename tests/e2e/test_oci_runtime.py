"""One suite for two runtimes: whatever runc does with a bundle, lab-runtime does. What runc fails is a wrong test."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labcontainer.kernel import cgroup
from tests.e2e.bundle import Config, Runtime
from tests.leaks import SLOW

pytestmark = pytest.mark.usefixtures("needs_root")


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10 * SLOW
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_container_goes_through_its_states(runtime: Runtime) -> None:
    pid_file = runtime.bundle / "pid"
    runtime.create("one", "--pid-file", str(pid_file))
    state = json.loads(runtime.well("state", "one"))
    assert (state["id"], state["status"], state["bundle"]) == ("one", "created", str(runtime.bundle))
    assert state["pid"] == int(pid_file.read_text())
    runtime.well("start", "one")
    until(lambda: runtime.status("one") == "running")
    runtime.well("pause", "one")
    assert runtime.status("one") == "paused"
    runtime.well("resume", "one")
    assert runtime.status("one") == "running"
    runtime.well("kill", "one", "KILL")
    until(lambda: runtime.status("one") == "stopped")
    runtime.well("delete", "one")
    assert runtime("state", "one").returncode != 0


def test_the_verbs_that_make_no_sense_are_refused(runtime: Runtime) -> None:
    assert all(runtime(verb, "nobody").returncode for verb in ("start", "state", "kill", "delete", "pause"))
    runtime.create("one")
    refused = [runtime("create", "one"), runtime("resume", "one")]
    runtime.well("start", "one")
    until(lambda: runtime.status("one") == "running")
    refused += [runtime("start", "one"), runtime("delete", "one")]
    assert all(done.returncode for done in refused), refused
    assert runtime.status("one") == "running"
    runtime.well("delete", "-f", "one")
    assert runtime("delete", "-f", "one").returncode == 0


def test_run_has_the_commands_exit_code_and_leaves_nothing(runtime: Runtime) -> None:
    runtime.shell("cat; echo error >&2; exit 7")
    done = runtime("run", "one", input=b"through")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"through", b"error\n")
    assert runtime.well("list", "-q") == b""


def test_a_missing_command_is_an_error_of_create(runtime: Runtime) -> None:
    runtime.configure(lambda config: config["process"].update(args=["nope"]))
    done = runtime("create", "one", stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert b"nope" in done.stderr
    assert b"executable file not found in $PATH" in done.stderr
    assert runtime.well("list", "-q") == b""


def test_errors_go_to_the_log_as_json_where_that_is_asked_for(runtime: Runtime, tmp_path: Path) -> None:
    log = tmp_path / "log"
    done = runtime("--log", str(log), "--log-format", "json", "state", "nobody")
    assert done.returncode == 1
    told = [json.loads(line) for line in log.read_text().splitlines()]
    assert told[-1]["level"] == "error"
    assert set(told[-1]) >= {"level", "msg", "time"}


def test_exec_joins_and_has_the_commands_exit_code(runtime: Runtime) -> None:
    runtime.configure(lambda config: config.update(hostname="box"))
    runtime.create("one")
    runtime.well("start", "one")
    done = runtime("exec", "--cwd", "/tmp", "--env", "A=b", "one", "sh", "-c", "hostname; pwd; echo $A; exit 3")
    assert (done.returncode, done.stdout) == (3, b"box\n/tmp\nb\n")
    look = "for n in cgroup ipc mnt net pid uts; do readlink /proc/%s/ns/$n; done"
    of_init, of_exec = (runtime.well("exec", "one", "sh", "-c", look % who) for who in ("1", "self"))
    assert of_init == of_exec


def test_exec_takes_a_process_file_and_writes_a_pid_file(runtime: Runtime, tmp_path: Path) -> None:
    runtime.create("one")
    runtime.well("start", "one")
    process = {"args": ["sleep", "30"], "cwd": "/", "user": {"uid": 5, "gid": 6}, "env": ["PATH=/bin"]}
    (tmp_path / "process.json").write_text(json.dumps(process))
    pid_file = tmp_path / "pid"
    command = [*runtime.command, "--root", str(runtime.root), "exec", "-d", "--pid-file", str(pid_file)]
    subprocess.run([*command, "-p", str(tmp_path / "process.json"), "one"], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    with open(f"/proc/{pid_file.read_text()}/status") as status:
        ids = [line.split()[1] for line in status if line.startswith(("Uid:", "Gid:"))]
    assert ids == ["5", "6"]


def test_limits_are_in_the_cgroup_that_was_named_and_can_be_changed(runtime: Runtime) -> None:
    limits = {"memory": {"limit": 64 << 20}, "pids": {"limit": 40}, "cpu": {"quota": 50000, "period": 100000}}
    runtime.configure(lambda config: config["linux"]["resources"].update(limits))
    runtime.create("one")
    path = json.loads((runtime.bundle / "config.json").read_text())["linux"]["cgroupsPath"]

    def found() -> tuple[int | None, ...]:
        have = cgroup.open(path).limits()
        return have.memory_bytes, have.pids_max, have.cpu_quota_usec

    assert found() == (64 << 20, 40, 50000)
    runtime.well("update", "--memory", str(32 << 20), "--cpu-quota", "20000", "one")
    assert found() == (32 << 20, 40, 20000)
    state = json.loads(runtime.well("state", "one"))
    assert state["pid"] in cgroup.open(path).pids()


def test_hooks_run_at_their_moments_with_the_state_on_stdin(runtime: Runtime, tmp_path: Path) -> None:
    def hook(name: str) -> Config:
        script = f"cat > {tmp_path}/{name}; readlink /proc/self/ns/mnt > {tmp_path}/{name}.mnt"
        return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]}

    names = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    runtime.configure(lambda config: config.update(hooks={name: [hook(name)] for name in names}))
    runtime.create("one")
    assert all((tmp_path / name).exists() for name in names[:3])  # runc runs poststart here already
    runtime.well("start", "one")
    until((tmp_path / "poststart").exists)
    runtime.well("delete", "-f", "one")
    for name in names:
        state = json.loads((tmp_path / name).read_text())
        assert (state["id"], state["bundle"]) == ("one", str(runtime.bundle))
    mine = os.readlink("/proc/self/ns/mnt")
    outside = {name: (tmp_path / f"{name}.mnt").read_text().strip() == mine for name in names}
    assert outside == {name: name != "createContainer" for name in names}


def test_a_hook_that_fails_stops_the_creation(runtime: Runtime) -> None:
    failing = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "exit 9"]}]}
    runtime.configure(lambda config: config.update(hooks=failing))
    assert runtime("create", "one", stdin=subprocess.DEVNULL).returncode == 1
    assert runtime.well("list", "-q") == b""


def test_a_terminal_is_sent_to_the_console_socket(runtime: Runtime, tmp_path: Path) -> None:
    runtime.shell("tty=$(readlink /proc/self/fd/0); echo on $tty")
    runtime.configure(lambda config: config["process"].update(terminal=True))
    assert runtime("create", "none", stdin=subprocess.DEVNULL).returncode == 1
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "console"))
        listener.listen(1)
        runtime.create("one", "--console-socket", str(tmp_path / "console"))
        connection, _ = listener.accept()
        with connection:
            _, (controller,), _, _ = socket.recv_fds(connection, 4096, 1)
    try:
        runtime.well("start", "one")
        said = b""
        while b"\n" not in said:
            said += os.read(controller, 4096)
        assert said.startswith(b"on /dev/pts/0")
    finally:
        os.close(controller)


def test_descriptors_are_inherited_only_where_that_is_asked_for(runtime: Runtime, tmp_path: Path) -> None:
    runtime.shell("ls /proc/self/fd; cat <&3")
    (tmp_path / "given").write_text("given\n")
    given = os.open(tmp_path / "given", os.O_RDONLY)
    try:
        command = [*runtime.command, "--root", str(runtime.root), "run"]

        def run(*words: str) -> subprocess.CompletedProcess[bytes]:
            script = 'exec 3<"$0"; shift 0; exec "$@"'
            return subprocess.run(["sh", "-c", script, str(tmp_path / "given"), *command, *words], cwd=runtime.bundle,
                                  stdin=subprocess.DEVNULL, capture_output=True, check=False)  # fmt: skip

        assert b"given" in run("--preserve-fds", "1", "one").stdout
        assert b"given" not in run("two").stdout
    finally:
        os.close(given)


def test_a_namespace_of_another_can_be_joined(runtime: Runtime) -> None:
    runtime.create("one")
    pid = json.loads(runtime.well("state", "one"))["pid"]

    def share(config: Config) -> None:
        for namespace in config["linux"]["namespaces"]:
            if namespace["type"] in ("network", "ipc", "uts"):
                namespace["path"] = f"/proc/{pid}/ns/{ {'network': 'net'}.get(namespace['type'], namespace['type']) }"
        config["linux"]["cgroupsPath"] += "-two"
        config.pop("hostname", None)

    runtime.configure(share)
    runtime.create("two")
    other = json.loads(runtime.well("state", "two"))["pid"]
    same = {name: os.readlink(f"/proc/{pid}/ns/{name}") == os.readlink(f"/proc/{other}/ns/{name}")
            for name in ("net", "ipc", "uts", "pid", "mnt")}  # fmt: skip
    assert same == {"net": True, "ipc": True, "uts": True, "pid": False, "mnt": False}


def test_mounts_and_paths_are_as_the_config_says(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "file").write_text("shared")
    more = [
        {"destination": "/in", "type": "bind", "source": str(tmp_path / "shared"), "options": ["rbind", "ro"]},
        {"destination": "/scratch", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "size=1m", "mode=700"]},
    ]
    runtime.configure(lambda config: config["mounts"].extend(more))
    runtime.shell("cat /in/file; touch /in/x 2>/dev/null || echo ' readonly'; stat -c %a /scratch; cat /proc/keys; "
                  "ls -d /sys/fs/cgroup/*/ | grep -c . ; touch /proc/sys/x 2>/dev/null || echo no")  # fmt: skip
    lines = runtime.well("run", "one").decode().splitlines()
    assert lines[:2] == ["shared readonly", "700"]
    assert lines[-1] == "no"


def test_user_capabilities_and_no_new_privs_reach_the_command(runtime: Runtime) -> None:
    def change(config: Config) -> None:
        config["process"]["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [7], "umask": 0o27}
        config["process"]["capabilities"] = {
            kind: ["CAP_KILL"] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")
        }

    runtime.configure(change)
    runtime.shell("id -u; id -g; id -G; grep -E '^(CapEff|CapAmb|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; umask")
    words = runtime.well("run", "one").decode().split()
    assert words[:4] == ["1000", "1001", "1001", "7"]
    found = dict(zip(words[4:-1:2], words[5:-1:2], strict=True))
    assert {int(found[name], 16) for name in ("CapEff:", "CapAmb:", "CapBnd:")} == {1 << 5}
    assert (found["NoNewPrivs:"], words[-1]) == ("1", "0027")


def test_list_ps_and_events_agree_about_a_container(runtime: Runtime) -> None:
    runtime.create("one")
    runtime.well("start", "one")
    (listed,) = json.loads(runtime.well("list", "-f", "json"))
    assert (listed["id"], listed["status"]) == ("one", "running")
    assert json.loads(runtime.well("ps", "-f", "json", "one")) == [listed["pid"]]
    event = json.loads(runtime.well("events", "--stats", "one"))
    assert (event["type"], event["id"]) == ("stats", "one")


def test_a_bundle_without_a_config_is_an_error(runtime: Runtime, tmp_path: Path) -> None:
    done = runtime("create", "-b", str(tmp_path), "one", stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert b"config.json" in done.stderr
    assert stat.S_ISDIR(tmp_path.stat().st_mode)
