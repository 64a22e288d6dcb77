"""A container's whole life: what goes in, what it may do, and what comes out."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from labcontainer.errors import Conflict, ContainerError, InitError, LabError, StateError

if TYPE_CHECKING:
    from labcontainer.engine import Engine


def sh(lab: Engine, script: str, **options: Any) -> str:
    output: bytes = lab.containers.run("lab/base", ["sh", "-c", script], remove=True, **options)
    return output.decode().strip()


def code(lab: Engine, command: list[str], **options: Any) -> int:
    with pytest.raises(ContainerError) as caught:
        lab.containers.run("lab/base", command, remove=True, **options)
    return caught.value.exit_status


def test_a_command_that_fails_raises_with_its_exit_code(lab: Engine) -> None:
    assert code(lab, ["sh", "-c", "exit 3"]) == 3


def test_a_command_killed_by_a_signal_ends_with_128_plus_it(lab: Engine) -> None:
    container = lab.containers.run("lab/base", ["sleep", "60"], detach=True)
    container.kill("SIGKILL")
    assert container.wait(timeout=10) == {"StatusCode": 137}
    container.remove()


def test_a_command_that_is_missing_is_127_and_one_that_is_no_program_126(lab: Engine) -> None:
    for command, expected in ((["no-such-command"], 127), (["/etc/passwd"], 126)):
        with pytest.raises(InitError) as caught:
            lab.containers.run("lab/base", command, remove=True)
        assert caught.value.exit_code == expected


def test_options_reach_the_command(lab: Engine) -> None:
    said = sh(lab, "hostname; echo $COLOUR; pwd; id -u", hostname="box", environment={"COLOUR": "red"},
              working_dir="/tmp", user="1234")  # fmt: skip
    assert said.split() == ["box", "red", "/tmp", "1234"]


def test_a_user_may_be_given_by_name(lab: Engine) -> None:
    assert sh(lab, "id -u", user="nobody") != "0"


def test_a_user_that_the_image_lacks_is_an_error(lab: Engine) -> None:
    with pytest.raises(LabError):
        sh(lab, "true", user="nosuchuser")


def test_a_read_only_root_refuses_a_write(lab: Engine) -> None:
    assert code(lab, ["sh", "-c", "echo x > /x"], read_only=True) == 1


def test_volumes_are_writable_or_read_only_as_asked(lab: Engine, tmp_path: Path) -> None:
    tmp_path.joinpath("in").write_text("hello")
    assert sh(lab, "cat /v/in; echo out > /v/out", volumes={str(tmp_path): {"bind": "/v", "mode": "rw"}}) == "hello"
    assert tmp_path.joinpath("out").read_text() == "out\n"
    assert code(lab, ["touch", "/v/no"], volumes={str(tmp_path): {"bind": "/v", "mode": "ro"}}) == 1
    assert not tmp_path.joinpath("no").exists()


def test_masked_paths_read_as_empty(lab: Engine) -> None:
    assert sh(lab, "cat /proc/keys /proc/timer_list; ls /sys/firmware") == ""


def test_no_new_privileges_is_set_when_asked(lab: Engine) -> None:
    assert sh(lab, "grep NoNewPrivs /proc/self/status", no_new_privileges=True).split() == ["NoNewPrivs:", "1"]


@pytest.mark.parametrize(("options", "expected"), [({}, 0xA80425FB), ({"cap_drop": ["ALL"]}, 0)])
def test_capabilities_are_dockers_unless_dropped(lab: Engine, options: dict[str, object], expected: int) -> None:
    lines = sh(lab, "grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status", **options).splitlines()
    assert [int(line.split()[1], 16) for line in lines] == [expected] * 3


def test_privileged_has_more_capabilities_and_no_filter(lab: Engine) -> None:
    lines = dict(line.split() for line in sh(lab, "grep -E 'CapBnd|Seccomp:' /proc/self/status", privileged=True)
                 .splitlines())  # fmt: skip
    assert int(lines["CapBnd:"], 16) & (1 << 21)
    assert lines["Seccomp:"] == "0"


def test_a_network_of_none_has_only_a_loopback_that_is_up(lab: Engine) -> None:
    assert sh(lab, "tail -n +3 /proc/net/dev | cut -d: -f1").split() == ["lo"]
    assert int(sh(lab, "cat /sys/class/net/lo/flags"), 16) & 1


@pytest.mark.usefixtures("needs_cgroups")
def test_the_pids_limit_stops_a_fork_bomb(lab: Engine) -> None:
    script = "i=0; while [ $i -lt 40 ]; do sleep 1 & i=$((i+1)); done; echo all"
    container = lab.containers.run("lab/base", ["sh", "-c", script], detach=True, pids_limit=8)
    assert container.wait(timeout=20)["StatusCode"] != 0
    assert b"all" not in container.logs()
    container.remove()


@pytest.mark.usefixtures("needs_cgroups")
def test_a_memory_hog_is_killed_and_the_record_says_why(lab: Engine) -> None:
    container = lab.containers.run("lab/base", ["sh", "-c", "x=$(tail /dev/zero); :"], detach=True, mem_limit="16m")
    container.wait(timeout=30)
    assert container.attrs["State"]["OOMKilled"]
    container.remove()


def test_a_write_leaves_the_images_layers_as_they_were(lab: Engine) -> None:
    image = lab.images.get("lab/base")
    layers = lab.snapshots.lowerdirs(image, lab.store)
    file = layers[-1] / "etc/passwd"
    before = hashlib.sha256(file.read_bytes()).digest()
    sh(lab, "echo intruder >> /etc/passwd")
    assert hashlib.sha256(file.read_bytes()).digest() == before


def test_binary_output_is_kept_byte_for_byte(lab: Engine) -> None:
    said = lab.containers.run("lab/base", ["head", "-c", "100000", "/dev/zero"], remove=True)
    assert said == bytes(100_000)


def test_stop_kills_an_init_that_ignores_sigterm(lab: Engine) -> None:
    container = lab.containers.run("lab/base", ["sh", "-c", "trap '' TERM; echo up; sleep 60"], detach=True)
    began = time.monotonic()
    container.stop(timeout=0.3)
    assert container.status == "exited"
    assert container.wait() == {"StatusCode": 137}
    assert time.monotonic() - began < 5
    container.remove()


def test_logs_keep_stdout_and_stderr_apart(lab: Engine) -> None:
    container = lab.containers.run("lab/base", ["sh", "-c", "echo a; echo b >&2"], detach=True)
    container.wait(timeout=10)
    assert (container.logs(stderr=False), container.logs(stdout=False)) == (b"a\n", b"b\n")
    container.remove()


def test_a_running_container_is_removed_by_force_alone_and_its_name_is_taken(lab: Engine) -> None:
    container = lab.containers.run("lab/base", ["sleep", "60"], detach=True, name="holder")
    with pytest.raises(Conflict):
        lab.containers.run("lab/base", ["true"], name="holder")
    with pytest.raises(StateError, match=r"it is running; .*: stop it first"):
        container.remove()
    container.remove(force=True)
    assert "holder" not in [each.name for each in lab.containers.list(all=True)]
