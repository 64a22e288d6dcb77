"""The probe on this machine, and in places made for it where things are refused for real."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from labcontainer.kernel import probe
from labcontainer.kernel.probe import Mode, Report, Status
from labcontainer.kernel.probe.report import STARTS_CONTAINERS
from tests.needs import Needs

# All is imported before the situation begins: in it, the interpreter's files may be out of reach.
CHILD = """
import contextlib, json, os, sys
from pathlib import Path
from labcontainer.kernel import capabilities, file, namespaces, process, seccomp, userns
from labcontainer.kernel.namespaces import CloneFlag
from labcontainer.kernel.probe.__main__ import examine
from labcontainer.kernel.probe.place import Place
from labcontainer.kernel.seccomp import library
with contextlib.suppress(ImportError):
    import pyseccomp
{situation}
json.dump(examine(Place.here(Path(os.environ.get("TMPDIR", "/tmp")))).to_json(), sys.stdout)
"""
BECOME = """
os.initgroups({name!r}, {gid}); os.setresgid({gid}, {gid}, {gid}); os.setresuid({uid}, {uid}, {uid})
process.prctl(process.Prctl.PR_SET_DUMPABLE, 1)
"""
NO_MORE_NAMESPACES = """
uid, gid = os.geteuid(), os.getegid()
namespaces.unshare(CloneFlag.CLONE_NEWUSER)
file.write("/proc/self/setgroups", "deny")
file.write("/proc/self/gid_map", f"{inside} {{gid}} 1")
file.write("/proc/self/uid_map", f"{inside} {{uid}} 1")
file.write("/proc/sys/user/max_user_namespaces", "0")
"""


def report_in(situation: str) -> Report:
    done = subprocess.run(
        [sys.executable, "-c", CHILD.format(situation=situation)], check=False, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    return Report.from_json(json.loads(done.stdout))


def become(user: pwd.struct_passwd) -> str:
    return BECOME.format(name=user.pw_name, uid=user.pw_uid, gid=user.pw_gid)


@pytest.fixture(scope="module")
def here() -> Report:
    return probe.run()


def test_every_finding_says_why_and_what_does_not_work_how_it_is_mended(here: Report) -> None:
    assert len({finding.id for finding in here.findings}) == len(here.findings) > 40
    for finding in here.findings:
        assert finding.why, finding
        assert bool(finding.remedy) == (finding.status is not Status.YES), finding
        assert set(finding.lessons) <= set(probe.LESSONS), finding


@pytest.mark.usefixtures("needs_root")
def test_root_with_its_power_can_run_containers(here: Report) -> None:
    assert here.mode is Mode.ROOT
    assert here.runs_containers, here.summary()
    assert here.finding("namespace-pid").status is Status.YES


@pytest.mark.usefixtures("needs_root")
def test_a_user_whose_name_is_in_subuid_has_ranges(needs: Needs) -> None:
    needs("newuidmap")
    owners = {line.split(":")[0] for line in Path("/etc/subuid").read_text().splitlines()}
    users = [user for user in pwd.getpwall() if user.pw_name in owners and user.pw_uid]
    if not users:
        pytest.skip("no user has a range in /etc/subuid (useradd -m student)")
    found = report_in(become(users[0]))
    assert (found.mode, found.host["user"]) == (Mode.RANGES, users[0].pw_name)
    assert found.finding("uid-ranges").status is Status.YES


@pytest.mark.usefixtures("needs_root")
def test_a_user_without_ranges_has_a_single_id_and_is_told_how_to_get_more(needs: Needs) -> None:
    needs("newuidmap")
    found = report_in(become(pwd.getpwnam("nobody")))
    assert found.mode is Mode.SINGLE
    ranges = found.finding("uid-ranges")
    assert (ranges.status, "usermod --add-subuids" in ranges.remedy) == (Status.DEGRADED, True)


@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize("inside", [0, 1000])
def test_where_no_more_user_namespaces_are_allowed_the_sysctl_is_named(inside: int) -> None:
    found = report_in(NO_MORE_NAMESPACES.format(inside=inside))
    user = found.finding("namespace-user")
    assert (user.status, user.remedy) == (Status.NO, "sudo sysctl -w user.max_user_namespaces=15000")
    assert "ENOSPC" in user.why
    # Who is root inside needs no other user namespace for containers; who is not needs one for everything.
    assert found.runs_containers == (inside == 0 and found.finding("namespace-pid").status is Status.YES)


@pytest.mark.usefixtures("needs_root")
def test_root_without_cap_sys_admin_runs_no_container() -> None:
    found = report_in("""
rest = capabilities.read().permitted - {capabilities.Capability.CAP_SYS_ADMIN}
capabilities.drop_bounding(rest)
capabilities.capset(rest, rest)
""")
    assert not found.runs_containers
    held = found.finding("capabilities")
    assert (held.status, "CAP_SYS_ADMIN" in held.why) == (Status.NO, True)
    for id in ("namespace-mnt", "overlay", "pivot-root"):
        assert found.finding(id).status is Status.NO
        assert "EPERM" in found.finding(id).why


def test_under_dockers_filter_clone3_does_not_exist(needs_libseccomp: None) -> None:
    found = report_in("""
policy = seccomp.resolve(seccomp.docker_default(), capabilities=[])
process.prctl(process.Prctl.PR_SET_NO_NEW_PRIVS, 1)
seccomp.load(seccomp.compile(policy))
""")
    assert "ENOSYS" in found.finding("clone3").why
    assert "EPERM" in found.finding("namespace-user").why
    assert set(STARTS_CONTAINERS) <= set(found.blocked())


def test_a_filter_that_kills_is_a_finding_and_not_the_end(needs_libseccomp: None) -> None:
    found = report_in("""
rule = {"names": ["unshare"], "action": "SCMP_ACT_KILL_PROCESS"}
process.prctl(process.Prctl.PR_SET_NO_NEW_PRIVS, 1)
seccomp.load(seccomp.compile({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
""")
    assert "SIGSYS" in found.finding("namespace-user").why
    assert found.finding("pidfd").status is Status.YES


def test_in_a_sandbox_that_allows_nothing_the_report_says_so(needs: Needs, needs_userns: None) -> None:
    sandbox = "--unshare-user --unshare-all --uid 1000 --disable-userns --ro-bind / / --proc /proc --dev /dev"
    probing = [sys.executable, "-I", "-m", "labcontainer.kernel.probe", "/mnt"]
    command = [str(needs("bwrap")), *sandbox.split(), "--tmpfs", "/mnt", *probing]
    done = subprocess.run(command, check=False, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    found = Report.from_json(json.loads(done.stdout))
    assert (found.mode, found.runs_containers) == (Mode.SINGLE, False)
    user = found.finding("namespace-user")
    assert (user.status, "ENOSPC" in user.why) == (Status.NO, True)
    assert found.finding("surroundings").status is Status.DEGRADED


@pytest.mark.usefixtures("needs_root", "needs_cgroup_v1")
def test_the_command_that_delegates_cgroups_mends_what_it_says() -> None:
    nobody = pwd.getpwnam("nobody")
    before = report_in(become(nobody)).finding("cgroup-memory")
    assert before.status is Status.NO
    delegated = [path / f"labcontainer-{nobody.pw_uid}" for path in Path("/sys/fs/cgroup").iterdir() if path.is_dir()]
    try:
        subprocess.run(["sh", "-c", before.remedy.removeprefix("sudo ")], check=True)
        after = report_in(become(nobody))
        assert after.finding("cgroup-memory").status is Status.YES, after.finding("cgroup-memory").why
    finally:
        for path in delegated:
            if path.exists():
                os.rmdir(path)


@pytest.fixture
def needs_libseccomp() -> None:
    from labcontainer.errors import HostError
    from labcontainer.kernel import seccomp

    try:
        seccomp.compile({"defaultAction": "SCMP_ACT_ALLOW"})
    except HostError as error:
        pytest.skip(str(error))
