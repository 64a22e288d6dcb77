"""What a test may ask of the machine, and the account of what was skipped for the lack of it.

    def test_skopeo_reads_our_layout(needs):
        skopeo = needs("skopeo")

    def test_a_veth_pair_joins_two_namespaces(needs_root): ...

Two kinds of skip. What could be installed or switched on is *missing*: under ``LAB_REQUIRE=all`` its absence is a
failure, and so is every other ``pytest.skip``. What the machine or the user *is* (root or not, cgroup v1 or v2) no
installation changes: such a test belongs to another run of the same suite, and the table at the end says to which.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

import pytest

from labcontainer.errors import HostError

OTHER_RUN = "belongs to another run: "
SUBIDS = (Path("/etc/subuid"), Path("/etc/subgid"))
# The package of Debian in which a program is, where it does not have the program's name.
PACKAGES = {
    "bwrap": "bubblewrap",
    "busybox": "busybox-static",
    "chromium": "chromium",
    "containerd-shim-runc-v2": "containerd",
    "ctr": "containerd",
    "docker": "docker.io",
    "dockerd": "docker.io",
    "ip": "iproute2",
    "losetup": "mount",
    "newuidmap": "uidmap",
    "unshare": "util-linux",
}

R = TypeVar("R", pytest.TestReport, pytest.CollectReport)
Needs = Callable[[str], Path]


@pytest.fixture
def needs() -> Needs:
    """``needs("skopeo")``: the path of a program, or the test is skipped."""
    return require_program


@pytest.fixture
def needs_root() -> None:
    """The test needs real root, with the privilege to mount."""
    if os.geteuid() != 0:
        pytest.skip(OTHER_RUN + "as root")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("root without CAP_SYS_ADMIN (in a container? start it with --privileged)")


@pytest.fixture
def needs_ordinary_user() -> None:
    """The test is about what a user without privilege sees."""
    if os.geteuid() == 0:
        pytest.skip(OTHER_RUN + "as an ordinary user")


@pytest.fixture
def needs_userns() -> None:
    """The test needs to make a user namespace without privilege."""
    if subprocess.run(["unshare", "--user", "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are refused (sudo sysctl -w user.max_user_namespaces=15000; see lab doctor)")


@pytest.fixture
def needs_subids() -> None:
    """The test needs ranges of subordinate ids for this user, and the programs that hand them out."""
    require_program("newuidmap")
    user = (str(os.getuid()), _user_name())
    for file in SUBIDS:
        if not any(line.split(":")[0] in user for line in file.read_text().splitlines()):
            pytest.skip(f"{file} has no range for this user (sudo usermod --add-subuids 100000-165535 …)")


@pytest.fixture
def needs_cgroups() -> None:
    """The test needs to limit a container: root, or a user to whom cgroups were delegated."""
    from labcontainer.kernel import cgroup

    try:
        cgroup.host().bases()
    except HostError as error:
        pytest.skip(str(error))


@pytest.fixture
def needs_cgroup_v2() -> None:
    """The test needs a machine whose only cgroup hierarchy is version 2."""
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip(OTHER_RUN + "on a cgroup v2 machine (make test-v2)")


@pytest.fixture
def needs_cpuset() -> None:
    """The test needs the controller that binds processes to CPUs: a Linux kernel for one CPU has none."""
    from labcontainer.kernel import cgroup

    if "cpuset" not in cgroup.host().controllers:
        pytest.skip(OTHER_RUN + "where the Linux kernel has the cpuset controller")


@pytest.fixture
def needs_cgroup_v1() -> None:
    """The test needs a machine that has controllers in cgroup version 1."""
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip(OTHER_RUN + "on a cgroup v1 or hybrid machine")


def require_program(name: str) -> Path:
    """The path of the program `name`; skips the test that runs where there is none."""
    # An ordinary user's PATH often lacks the directories in which Debian puts runc and dockerd.
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"no {name} on this machine (apt-get install {PACKAGES.get(name, name)})")
    return Path(found)


def skips_are_failures() -> bool:
    """Whether this run must skip nothing that could be installed: CI's."""
    return os.environ.get("LAB_REQUIRE") == "all"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _judged(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _judged(report)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One table of what was skipped: how many tests, why, and the first of them."""
    skipped = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", []):
        skipped[_reason(report)].append(report.nodeid.removeprefix("tests/"))
    if not skipped:
        return
    terminalreporter.section("skipped")
    for reason, tests in sorted(skipped.items(), key=lambda item: -len(item[1])):
        terminalreporter.line(f"{len(tests):5}  {reason}")
        terminalreporter.line(f"       {tests[0]}" + (f" and {len(tests) - 1} more" if len(tests) > 1 else ""))


def _judged(report: R) -> R:
    expected = hasattr(report, "wasxfail") or not report.skipped or _reason(report).startswith(OTHER_RUN)
    if skips_are_failures() and not expected:
        report.outcome = "failed"
        report.longrepr = f"LAB_REQUIRE=all, but this was skipped: {_reason(report)}"
    return report


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def _user_name() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name
