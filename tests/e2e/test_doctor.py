"""``lab doctor`` as a shell sees it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from labcontainer.kernel.probe import Report, Status
from tests.needs import Needs

DOCTOR = [sys.executable, "-m", "labcontainer.cli", "doctor"]


def doctor(*options: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*before, *DOCTOR, *options], capture_output=True, text=True, timeout=60, check=False)


def test_json_is_the_whole_report_and_nothing_else() -> None:
    report = Report.from_json(json.loads(doctor("--json").stdout))
    assert len(report.findings) > 40


def test_in_a_pipe_the_table_is_plain_text() -> None:
    done = doctor("-v")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "PID namespace: its own process numbers" in done.stdout
    assert "lessons need, as" in done.stdout.splitlines()[-1]


def test_on_a_terminal_the_table_has_colours() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen([*DOCTOR, "-v"], stdout=theirs, env={**os.environ, "TERM": "xterm"}):
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # EIO: the other side has closed the terminal
                break
    os.close(ours)
    assert b"\x1b[32myes" in shown


def test_the_summary_ends_with_one_line_and_names_only_what_lessons_need() -> None:
    lines = doctor("--summary").stdout.splitlines()
    assert lines[-1].startswith("this machine has what ")
    assert not any("--ulimit" in line for line in lines)


@pytest.mark.usefixtures("needs_userns")
def test_where_no_container_can_run_the_exit_code_says_so(needs: Needs) -> None:
    sandbox = "--unshare-user --disable-userns --uid 1000 --ro-bind / / --proc /proc --dev /dev --tmpfs /mnt"
    # Not /tmp: the source itself may lie there.
    sandbox += " --setenv TMPDIR /mnt"
    done = doctor("--json", before=(str(needs("bwrap")), *sandbox.split()))
    assert done.returncode == 1, done.stderr
    assert Report.from_json(json.loads(done.stdout)).finding("namespace-user").status is Status.NO
