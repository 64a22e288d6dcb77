"""Docker's own list of flags: each is served, or refused by name with the reason."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import click
import pytest

from labcontainer.cli import later
from labcontainer.cli.run import create, run

if TYPE_CHECKING:
    from tests.e2e.conftest import Lab
    from tests.needs import Needs

OURS = {"--sig-proxy", "--no-sig-proxy", "--net", "--dns-opt"}


def theirs(docker: str, verb: str) -> set[str]:
    text = subprocess.run([docker, verb, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^\s+((?:-\w, )?--[\w-]+)", text, re.MULTILINE)) - {"--help"}


def flags(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("command", [run, create])
def test_every_flag_of_docker_is_known(needs: Needs, command: click.Command) -> None:
    listed = {name for text in theirs(str(needs("docker")), str(command.name)) for name in text.split(", ")}
    assert listed - flags(command) == set()
    assert {name for name in flags(command) if name.startswith("--")} - listed - OURS == set()


def test_what_is_refused_is_dockers_too_and_has_a_reason(needs: Needs) -> None:
    listed = {name for text in theirs(str(needs("docker")), "run") for name in text.split(", ")}
    assert set(later.REFUSED) - listed == set()
    assert all(len(reason) > 20 for _, reason in later.REFUSED.values())


def test_a_refused_flag_says_what_to_do_instead(lab: Lab) -> None:
    done = lab("run", "-p", "80:80", "lab/base", "true")
    assert (done.returncode, "--network host" in done.stderr) == (125, True)
    done = lab("run", "-P", "lab/base", "true")
    assert "networks come later" in done.stderr
    assert lab("create", "--pull", "always", "lab/base").returncode == 125


def test_flags_reach_the_container(lab: Lab) -> None:
    script = "ulimit -n; cat /proc/sys/net/ipv4/ip_forward; grep -c ' /t tmpfs' /proc/mounts; tail -n 1 /etc/hosts"
    words = ["--ulimit", "nofile=99", "--sysctl", "net.ipv4.ip_forward=1", "--tmpfs", "/t", "--add-host", "db:10.0.0.2"]
    done = lab("run", "--rm", *words, "lab/base", "sh", "-c", script)
    assert (done.stdout.split(), done.stderr) == (["99", "1", "1", "10.0.0.2", "db"], "")


def test_only_the_streams_that_were_asked_for_are_printed(lab: Lab) -> None:
    done = lab("run", "--name", "pet", "-a", "STDERR", "lab/base", "sh", "-c", "echo out; echo error >&2")
    assert (done.stdout, done.stderr) == ("", "error\n")
    form = "{{.Config.AttachStdin}} {{.Config.AttachStdout}} {{.Config.AttachStderr}}"
    assert lab("inspect", "-f", form, "pet").stdout == "false false true\n"
    assert lab("run", "-d", "-a", "stdout", "lab/base", "true").returncode == 125
