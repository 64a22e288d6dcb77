"""``lab`` as a shell sees it: what it prints where, and how it exits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Lab


def test_run_prints_what_the_command_prints_and_exits_as_it_does(lab: Lab) -> None:
    done = lab("run", "--rm", "lab/base", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_a_container_goes_from_run_to_ps_to_rm(lab: Lab) -> None:
    assert lab("run", "-d", "--name", "pet", "lab/base", "sh", "-c", "echo hello; sleep 60").returncode == 0
    assert "pet" in lab("ps").stdout
    assert json.loads(lab("inspect", "pet").stdout)[0]["State"]["Running"]
    refused = lab("rm", "pet")
    assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)
    assert lab("kill", "pet").returncode == 0
    assert lab("wait", "pet").stdout == "137\n"
    assert lab("logs", "pet").stdout == "hello\n"
    assert lab("rm", "pet").returncode == 0
    assert "pet" not in lab("ps", "-a").stdout


def test_images_lists_the_starter_images(lab: Lab) -> None:
    assert {"lab/base", "lab/python"} <= {line.split()[0] for line in lab("images").stdout.splitlines()}


def test_explain_does_nothing(lab: Lab) -> None:
    done = lab("explain", "run", "lab/base", "true")
    assert (done.returncode, "pivot_root" in done.stdout) == (0, True)
    assert lab("ps", "-aq").stdout == ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("run", "no/such-image", "true"), 125),
        (("run", "-m", "1k", "lab/base", "true"), 125),
        (("run", "-m", "lots", "lab/base", "true"), 125),
        (("run", "-m", "1000t", "lab/base", "true"), 125),
        (("run", "-m", "0", "lab/base", "true"), 125),
        (("run", "--cpus", "4096", "lab/base", "true"), 125),
        (("run", "--cpus", "0", "lab/base", "true"), 125),
        (("run", "--cpus", "nan", "lab/base", "true"), 125),
        (("run", "--pids-limit", "0", "lab/base", "true"), 125),
        (("run", "--pids-limit", "4194305", "lab/base", "true"), 125),
        (("run", "-w", "relative", "lab/base", "true"), 125),
        (("run", "--network", "no-such", "lab/base", "true"), 125),
        (("run", "-v", "/no-such:/x", "lab/base", "true"), 125),
        (("run", "-it", "lab/base", "true"), 125),
        (("run",), 125),
        (("run", "--no-such-flag", "lab/base", "true"), 125),
        (("run", "--rm", "lab/base", "no-such-command"), 127),
        (("run", "--rm", "lab/base", ""), 127),
        (("run", "--rm", "lab/base", "/no/such/command"), 127),
        (("run", "--rm", "lab/base", "/etc/passwd"), 126),
        (("run", "--rm", "lab/base", "/etc"), 126),
        (("logs", "nobody"), 1),
    ],
)
def test_a_mistake_is_a_sentence_and_an_exit_code(lab: Lab, words: tuple[str, ...], code: int) -> None:
    done = lab(*words)
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (code, "", False)
    assert done.stderr.strip()
    if "--rm" not in words:
        assert lab("ps", "-aq").stdout == ""  # found before anything was made
