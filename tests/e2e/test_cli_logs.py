"""``lab logs`` and ``lab events``: what was written and what happened, once or as it comes."""

from __future__ import annotations

import json
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from labcontainer.errors import NotFound

if TYPE_CHECKING:
    from labcontainer.engine import Engine
    from tests.e2e.conftest import Lab, LabProcess

BOTH = "echo one; echo two >&2; printf 'three '; sleep 0.2; echo four"


def run(lab: Lab, script: str, *options: str, name: str = "pet") -> None:
    done = lab("run", "-d", "--name", name, *options, "lab/base", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    lab("wait", name)


def test_stdout_and_stderr_are_printed_apart(lab: Lab) -> None:
    run(lab, BOTH)
    done = lab("logs", "pet")
    assert (done.stdout, done.stderr) == ("one\nthree four\n", "two\n")


def test_a_line_has_its_time_once_though_it_came_in_pieces(lab: Lab) -> None:
    run(lab, BOTH)
    stamped = lab("logs", "-t", "pet").stdout.splitlines()
    assert [line.split(" ", 1)[1] for line in stamped] == ["one", "three four"]
    assert all(line[:2] == "20" and line.split(" ")[0].endswith("Z") for line in stamped)


def test_the_last_lines_alone_and_those_of_a_time(lab: Lab) -> None:
    run(lab, "seq 100")
    assert lab("logs", "-n", "2", "pet").stdout == "99\n100\n"
    assert lab("logs", "--tail", "0", "pet").stdout == ""
    assert lab("logs", "--since", "1h", "pet").stdout.endswith("100\n")
    assert lab("logs", "--until", "1h", "pet").stdout == ""
    assert lab("logs", "--since", "someday", "pet").returncode == 1


def test_a_log_is_rotated_and_read_over_its_files(lab: Lab, engine: Engine) -> None:
    run(lab, "seq 10000", "--log-opt", "max-size=100k", "--log-opt", "max-file=4")
    directory = engine.containers.get("pet").directory
    files = sorted(path for path in directory.iterdir() if path.name.startswith("log.json"))
    assert len(files) == 4
    assert all(path.stat().st_size <= 100_000 for path in files)
    lines = lab("logs", "pet").stdout.split()
    assert lines == [str(number) for number in range(10001 - len(lines), 10001)]
    assert len(lines) > 4000


def test_following_goes_on_until_the_container_has_ended(lab: Lab, lab_process: LabProcess) -> None:
    lab("run", "-d", "--name", "pet", "lab/base", "sh", "-c", "echo begun; read line < /dev/null; sleep 60")
    following = lab_process("logs", "-f", "pet")
    assert following.stdout is not None
    assert following.stdout.readline() == "begun\n"
    lab("kill", "pet")
    assert following.wait(timeout=30) == 0


def test_following_ends_with_a_container_that_is_removed(lab: Lab, lab_process: LabProcess) -> None:
    lab("run", "-d", "--rm", "--name", "pet", "lab/base", "sh", "-c", "echo begun; exec sleep 60")
    following = lab_process("logs", "-f", "pet")
    assert following.stdout is not None
    assert following.stdout.readline() == "begun\n"
    lab("kill", "pet")
    assert following.wait(timeout=30) == 0


def test_following_is_left_by_ctrl_c(lab: Lab, lab_process: LabProcess) -> None:
    lab("run", "-d", "--name", "pet", "lab/base", "sh", "-c", "echo begun; exec sleep 60")
    following = lab_process("logs", "-f", "pet")
    assert following.stdout is not None
    following.stdout.readline()
    following.send_signal(signal.SIGINT)
    _, errors = following.communicate(timeout=30)
    assert (following.returncode, "Traceback" in errors) == (130, False)


def test_a_container_without_a_log_says_so(lab: Lab, engine: Engine) -> None:
    run(lab, "echo lost", "--log-driver", "none")
    done = lab("logs", "pet")
    assert (done.returncode, done.stdout) == (1, "")
    assert "--log-driver none" in done.stderr
    with pytest.raises(NotFound):
        engine.containers.get("pet").logs()


@pytest.mark.parametrize(
    "options",
    [
        ("--log-driver", "syslog"),
        ("--log-opt", "max-size=big"),
        ("--log-opt", "max-file=0"),
        ("--log-opt", "colour=red"),
    ],
)
def test_log_options_that_make_no_sense_are_refused(lab: Lab, options: tuple[str, ...]) -> None:
    assert lab("run", *options, "lab/base", "true").returncode == 125


def test_a_stream_of_lines_is_closed_by_another_thread(lab: Lab, engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sh", "-c", "echo one; exec sleep 60"], detach=True)
    stream = container.logs(stream=True)
    assert next(stream) == b"one\n"
    threading.Timer(0.1, stream.close).start()
    assert list(stream) == []
    container.remove(force=True)


def test_the_events_of_a_life_are_told_in_order(lab: Lab) -> None:
    run(lab, "exit 3", "--label", "stage=test")
    lab("rm", "pet")
    told = lab("events", "--since", "1h", "--until", "0s", "--filter", "container=pet", "--format", "json")
    events = [json.loads(line) for line in told.stdout.splitlines()]
    assert [event["Action"] for event in events] == ["create", "start", "die", "destroy"]
    assert events[2]["Actor"]["Attributes"] == {
        "exitCode": "3", "image": "lab/base", "name": "pet", "stage": "test",
    }  # fmt: skip


def test_events_are_told_as_they_happen_and_as_a_template_says(lab: Lab, lab_process: LabProcess) -> None:
    watching = lab_process(
        "events", "--since", "1h", "-f", "label=stage", "--format", "{{.Action}} {{.Actor.Attributes.name}}"
    )
    run(lab, "true")
    run(lab, "true", "--label", "stage=test", name="other")
    assert watching.stdout is not None
    assert [watching.stdout.readline() for _ in range(3)] == ["create other\n", "start other\n", "die other\n"]
