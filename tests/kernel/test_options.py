"""Each option of ``run``, looked at from inside: what the Linux kernel says is there."""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from labcontainer.errors import ContainerError, InitError, UsageError

if TYPE_CHECKING:
    from labcontainer.engine import Engine


def sh(lab: Engine, script: str, **options: Any) -> str:
    output: bytes = lab.containers.run("lab/base", ["sh", "-c", script], remove=True, **options)
    return output.decode().strip()


def refused(lab: Engine, match: str, **options: Any) -> None:
    with pytest.raises(UsageError, match=match):
        lab.containers.create("lab/base", ["true"], **options)


def mounted(lab: Engine, place: str, **options: Any) -> list[str]:
    """The line of /proc/self/mountinfo for `place`: its fields, those before and after the hyphen together."""
    lines = [line.split() for line in sh(lab, "cat /proc/self/mountinfo", **options).splitlines()]
    return [field for line in lines if line[4] == place for field in line]


# -- limits of a process


def test_a_ulimit_is_the_processes_own(lab: Engine) -> None:
    lines = sh(lab, "cat /proc/self/limits", ulimits=["nofile=100:200", "core=0", {"Name": "nproc", "Soft": 300}])
    found = {line[:25].strip(): line[25:].split()[:2] for line in lines.splitlines()}
    assert found["Max open files"] == ["100", "200"]
    assert found["Max core file size"] == ["0", "0"]
    assert found["Max processes"] == ["300", "300"]


def test_a_ulimit_is_handed_on_to_an_exec(lab: Engine) -> None:
    container = lab.containers.run("lab/base", ["sleep", "60"], detach=True, ulimits=["nofile=100:200"])
    assert container.exec_run(["sh", "-c", "ulimit -n"]).output == b"100\n"
    assert container.attrs["HostConfig"]["Ulimits"] == [{"Name": "nofile", "Hard": 200, "Soft": 100}]
    container.remove(force=True)


def test_an_unlimited_ulimit_is_unlimited(lab: Engine) -> None:
    if resource.getrlimit(resource.RLIMIT_FSIZE)[1] != resource.RLIM_INFINITY:
        pytest.skip("files are limited here (ulimit -f)")
    assert sh(lab, "ulimit -f", ulimits=["fsize=unlimited"]) == "unlimited"


def test_a_hard_limit_that_nobody_may_raise_names_the_capability(lab: Engine) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    container = lab.containers.create("lab/base", ["true"], ulimits=[f"nofile=10:{hard + 1}"])
    may_raise = os.geteuid() == 0 and _holds(24)
    try:
        if may_raise:
            container.start()
            assert container.wait()["StatusCode"] == 0
        else:
            with pytest.raises(InitError, match=f"CAP_SYS_RESOURCE can raise it above the {hard}"):
                container.start()
    finally:
        container.remove(force=True)


def _holds(capability: int) -> bool:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff"))
    return bool(int(line.split()[1], 16) & 1 << capability)


# -- settings of namespaces


def test_a_sysctl_is_set_in_the_containers_namespace_alone(lab: Engine) -> None:
    before = Path("/proc/sys/net/ipv4/ip_forward").read_text(), Path("/proc/sys/kernel/shmmni").read_text()
    script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni /proc/sys/fs/mqueue/msg_max"
    wanted = {"net.ipv4.ip_forward": 1, "kernel/shmmni": "77", "fs.mqueue.msg_max": "11"}
    assert sh(lab, script, sysctls=wanted).split() == ["1", "77", "11"]
    assert before == (Path("/proc/sys/net/ipv4/ip_forward").read_text(), Path("/proc/sys/kernel/shmmni").read_text())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"sysctls": {"vm.swappiness": 1}}, "whole machine"),
        ({"sysctls": {"kernel.hostname": "x"}}, "--hostname"),
        ({"sysctls": {"net.ipv4.ip_forward": 1}, "network_mode": "host"}, "none of its own"),
        ({"sysctls": ["net/../kernel/panic=1"]}, "names no setting"),
        ({"sysctls": ["net.ipv4.ip_forward"]}, "NAME=VALUE"),
    ],
)
def test_a_sysctl_of_the_whole_machine_is_refused(lab: Engine, options: dict[str, Any], match: str) -> None:
    refused(lab, match, **options)


# -- file systems


def test_a_tmpfs_has_dockers_flags_and_its_own_options(lab: Engine) -> None:
    fields = mounted(lab, "/scratch", tmpfs={"/scratch": "size=1m,mode=700,uid=7,gid=8"})
    assert {"noexec", "nosuid", "nodev", "rw"} <= set(fields[5].split(","))
    assert {"size=1024k", "mode=700"} <= set(fields[-1].split(","))
    assert sh(lab, "stat -c '%a %u %g' /scratch", tmpfs=["/scratch:mode=700,uid=7,gid=8"]) == "700 7 8"
    with pytest.raises(ContainerError):
        sh(lab, "head -c 2000000 /dev/zero > /scratch/x", tmpfs=["/scratch:size=1m"])


def test_a_tmpfs_option_takes_back_what_docker_sets(lab: Engine) -> None:
    fields = mounted(lab, "/scratch", tmpfs=["/scratch:exec,suid"])
    assert not {"noexec", "nosuid"} & set(fields[5].split(","))
    assert "nodev" in fields[5]


def test_a_tmpfs_over_a_directory_has_that_directorys_mode(lab: Engine) -> None:
    assert sh(lab, "stat -c %a /tmp /root", tmpfs=["/tmp", "/root"]).split() == sh(lab, "stat -c %a /tmp /root").split()


def test_a_read_only_root_has_places_to_write_to(lab: Engine) -> None:
    script = "echo x > /run/x && cat /run/x; echo y > /y || echo no; echo z > /etc/hosts || echo no"
    assert sh(lab, script + " 2>/dev/null", read_only=True, tmpfs=["/run"]).split() == ["x", "no", "no"]


def test_mounts_in_dockers_long_form_are_mounted(lab: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("there")
    given = [f"type=bind,src={tmp_path},dst=/data/in,readonly", "type=tmpfs,target=/data,tmpfs-size=1m,tmpfs-mode=1770"]
    script = "cat /data/in/file; stat -c ' %a' /data; touch /data/in/x || echo no"
    assert sh(lab, script + " 2>/dev/null", mounts=given).split() == ["there", "1770", "no"]
    api = {"Type": "bind", "Source": str(tmp_path), "Target": "/data", "ReadOnly": False}
    assert sh(lab, "echo new > /data/file; cat /data/file", mounts=[api]) == "new"


def test_what_is_read_only_is_so_below_too_unless_that_is_not_wanted(lab: Engine, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    given = f"type=bind,src={tmp_path},dst=/data,readonly,bind-recursive="
    for recursive, expected in (("enabled", ["ro"]), ("disabled", ["ro"])):
        fields = mounted(lab, "/data", mounts=[given + recursive])
        assert fields[5].split(",")[:1] == expected


def test_the_inspected_mounts_are_dockers(lab: Engine, tmp_path: Path) -> None:
    container = lab.containers.create(
        "lab/base", ["true"], volumes=[f"{tmp_path}:/a:ro,rslave"], tmpfs=["/c:size=1m"],
        mounts=["type=tmpfs,dst=/b,tmpfs-size=2m,tmpfs-mode=1770"],
    )  # fmt: skip
    found = container.attrs
    container.remove()
    by_place = {each["Destination"]: each for each in found["Mounts"]}
    assert by_place == {
        "/a": {"Type": "bind", "Source": str(tmp_path), "Destination": "/a", "Mode": "ro,rslave", "RW": False,
               "Propagation": "rslave"},
        "/b": {"Type": "tmpfs", "Source": "", "Destination": "/b", "Mode": "", "RW": True, "Propagation": ""},
    }  # fmt: skip
    host = found["HostConfig"]
    assert (host["Binds"], host["Tmpfs"]) == ([f"{tmp_path}:/a:ro,rslave"], {"/c": "size=1m"})
    assert host["Mounts"] == [{"Type": "tmpfs", "Target": "/b", "TmpfsOptions": {"SizeBytes": 2 << 20, "Mode": 0o1770}}]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"tmpfs": ["relative"]}, "absolute"),
        ({"tmpfs": ["/x:foo"]}, "no option of a tmpfs"),
        ({"tmpfs": ["/"]}, "not / itself"),
        ({"tmpfs": ["/x", "/x/"]}, "two things"),
        ({"mounts": ["type=bind,src=/nope,dst=/x"]}, "/nope does not exist"),
        ({"mounts": ["type=volume,src=name,dst=/x"]}, "named volumes come later"),
        ({"mounts": ["type=bind,src=/etc,dst=/x,colour=red"]}, "no key"),
        ({"mounts": ["type=tmpfs,src=/etc,dst=/x"]}, "no source"),
        ({"mounts": ["type=tmpfs,dst=/x,bind-propagation=rslave"]}, "not for type=tmpfs"),
        ({"volumes": ["name:/x"]}, "named volumes come later"),
        ({"volumes": ["/etc:/x:nocopy"]}, "named volumes"),
        ({"volumes": ["/etc:/x:ro,rw"]}, "the mode is"),
    ],
)
def test_a_mount_that_cannot_be_is_refused(lab: Engine, options: dict[str, Any], match: str) -> None:
    refused(lab, match, **options)


def test_dev_shm_has_the_size_that_was_asked_for(lab: Engine) -> None:
    assert "size=3072k" in mounted(lab, "/dev/shm", shm_size="3m")[-1]
    assert "size=65536k" in mounted(lab, "/dev/shm", shm_size=0)[-1]


# -- devices


def test_a_device_is_there_under_the_name_that_was_asked_for(lab: Engine) -> None:
    script = "stat -c '%t:%T %F' /dev/nothing; echo x > /dev/nothing && echo written"
    assert sh(lab, script, devices=["/dev/null:/dev/nothing"]).splitlines() == [
        "1:3 character special file", "written"
    ]  # fmt: skip


def test_every_device_of_a_directory_is_there(lab: Engine) -> None:
    names = sorted(path.name for path in Path("/dev/net").iterdir() if stat.S_ISCHR(path.lstat().st_mode)) \
        if Path("/dev/net").exists() else []  # fmt: skip
    if not names:
        refused(
            lab, "no device in this directory" if Path("/dev/net").exists() else "no such file", devices=["/dev/net"]
        )
        return
    assert sh(lab, "ls /dev/nets", devices=["/dev/net:/dev/nets"]).split() == names


@pytest.mark.usefixtures("needs_root")
def test_a_device_may_be_used_only_as_was_asked_for(lab: Engine) -> None:
    loop = "/dev/loop-control"
    if not Path(loop).exists():
        pytest.skip(f"no {loop} (modprobe loop)")
    number = os.stat(loop).st_rdev
    script = f"exec 3<{loop} && echo read; exec 3>{loop} && echo written"
    assert sh(lab, f"({script}) 2>/dev/null; :", devices=[f"{loop}:r"]).split() == ["read"]
    assert sh(lab, f"({script}) 2>/dev/null; :", devices=[loop]).split() == ["read", "written"]
    rule = f"c {os.major(number)}:{os.minor(number)} rw"
    made = f"mknod /tmp/d c {os.major(number)} {os.minor(number)}; exec 3</tmp/d && echo read"
    assert sh(lab, f"({made}) 2>/dev/null; :") == ""
    assert sh(lab, f"({made}) 2>/dev/null; :", device_cgroup_rules=[rule]) == "read"


@pytest.mark.parametrize("given", ["/dev/nope", "/etc/passwd", "dev/null", "/dev/null:x", "/dev/null:/a:/b"])
def test_a_device_that_is_none_is_refused(lab: Engine, given: str) -> None:
    refused(lab, "device", devices=[given])


def test_a_device_rule_that_cannot_be_read_is_refused(lab: Engine) -> None:
    refused(lab, "TYPE MAJOR:MINOR ACCESS", device_cgroup_rules=["c 1:3"])


# -- names


def test_the_files_of_names_are_the_containers_own(lab: Engine) -> None:
    options: dict[str, Any] = {
        "hostname": "box", "domainname": "example.org", "extra_hosts": {"db": "10.0.0.2", "six": "::1"},
        "dns": ["9.9.9.9"], "dns_search": ["example.org"], "dns_opt": ["ndots:3"],
    }  # fmt: skip
    said = sh(lab, "cat /etc/hostname /etc/resolv.conf /etc/hosts /proc/sys/kernel/domainname", **options)
    lines = said.splitlines()
    assert lines[:4] == ["box", "nameserver 9.9.9.9", "search example.org", "options ndots:3"]
    assert {"127.0.0.1\tlocalhost", "10.0.0.2\tdb", "::1\tsix"} <= set(lines)
    assert lines[-1] == "example.org"


def test_what_is_changed_in_etc_hosts_stays_and_is_in_no_layer(lab: Engine) -> None:
    container = lab.containers.create("lab/base", ["sh", "-c", "echo '1.2.3.4 mine' >> /etc/hosts; cat /etc/hosts"])
    for expected in (1, 2):
        container.start()
        container.wait()
        assert Path(container.attrs["HostsPath"]).read_text().count("1.2.3.4 mine") == expected
    assert [each for each in container.diff() if each["Path"].startswith("/etc/")] == []
    container.remove()


def test_in_the_hosts_network_the_hosts_names_count(lab: Engine) -> None:
    hosts = Path("/etc/hosts").read_text().split()
    said = sh(lab, "cat /etc/hosts; hostname", network_mode="host", extra_hosts=["db:10.0.0.2"]).split()
    assert said == [*hosts, "10.0.0.2", "db", os.uname().nodename]


def test_a_volume_takes_the_place_of_our_own_file(lab: Engine, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("mine\n")
    assert sh(lab, "cat /etc/hosts", volumes=[f"{tmp_path}/hosts:/etc/hosts:ro"]) == "mine"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"extra_hosts": ["db"]}, "NAME:ADDRESS"),
        ({"extra_hosts": ["db:nowhere"]}, "no IP address"),
        ({"extra_hosts": ["db:host-gateway"]}, "no gateway"),
        ({"dns": ["example.org"]}, "IP address of a name server"),
        ({"hostname": "a b"}, "spaces"),
        ({"dns_search": ["a\nb"]}, "one word"),
        ({"uts_mode": "host", "hostname": "x"}, "can have no other"),
    ],
)
def test_a_name_that_cannot_be_is_refused(lab: Engine, options: dict[str, Any], match: str) -> None:
    refused(lab, match, **options)
