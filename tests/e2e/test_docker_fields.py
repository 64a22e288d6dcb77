"""Docker itself, asked for the names of its fields: ours must be among them, and what we lack is written down here."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from labcontainer.engine import Engine
    from tests.e2e.conftest import Lab
    from tests.needs import Needs

CREATE = (
    "create", "--name", "pet", "--label", "a=b", "-v", "/etc:/x:ro", "-e", "FOO=bar", "-w", "/tmp", "--init",
    "--health-cmd", "true", "--stop-timeout", "3", "--restart", "on-failure:3", "--ulimit", "nofile=10:20",
    "--tmpfs", "/t:size=1m", "--mount", "type=tmpfs,dst=/m,tmpfs-size=2m,tmpfs-mode=1770", "--device", "/dev/null:/n:r",
    "--mount", "type=bind,src=/etc,dst=/y,readonly", "--dns", "9.9.9.9", "--dns-search", "here", "--dns-option", "x",
    "--add-host", "db:10.0.0.2", "--sysctl", "net.ipv4.ip_forward=1", "--group-add", "7", "--ipc", "shareable",
    "--security-opt", "no-new-privileges", "--domainname", "here", "--device-cgroup-rule", "c 1:* rwm",
    "--shm-size", "3m", "--cgroup-parent", "/lab-fields", "--log-opt", "max-size=1m",
    "lab/base", "sh", "-c", "echo out; exit 3",
)  # fmt: skip

# What docker tells and we do not.
LEFT_OUT = {
    # networks
    "HostConfig.Links", "HostConfig.PublishAllPorts",
    # security modules, which are not used
    "MountLabel", "ProcessLabel", "AppArmorProfile",
    # Windows, and what docker itself no longer fills
    "HostConfig.ConsoleSize", "HostConfig.Isolation", "HostConfig.CpuCount", "HostConfig.CpuPercent",
    "HostConfig.IOMaximumIOps", "HostConfig.IOMaximumBandwidth", "HostConfig.KernelMemory",
    "HostConfig.KernelMemoryTCP", "HostConfig.CpuRealtimePeriod", "HostConfig.CpuRealtimeRuntime", "HostConfig.Cgroup",
    # named volumes, and devices that a driver would hand in
    "HostConfig.VolumeDriver", "HostConfig.VolumesFrom", "HostConfig.DeviceRequests",
}  # fmt: skip
# What newer versions tell, and the one in Debian may not.
NEWER = {
    "Config.Healthcheck.StartInterval", "Config.Healthcheck.StartPeriod", "Config.Healthcheck.Timeout",
    "Config.Healthcheck.Interval", "Config.Healthcheck.Retries", "Config.StopSignal", "HostConfig.Sysctls",
    "GraphDriver.Data.LowerDir", "GraphDriver.Data.MergedDir", "GraphDriver.Data.UpperDir", "GraphDriver.Data.WorkDir",
}  # fmt: skip
LIST = ("ps", "-a", "--no-trunc", "--format", "json")
SAME = (
    "Command", "Image", "Labels", "LocalVolumes", "Mounts", "Names", "Networks", "Ports", "Size", "State", "Status",
)  # fmt: skip
MOUNTS = ("inspect", "-f", "{{json .Mounts}}", "pet")
FORMS = (
    "{{.Path}} {{.Args}} {{.Config.Cmd}} {{.Config.WorkingDir}} {{.Config.Labels}}",
    "{{json .HostConfig.RestartPolicy}} {{.HostConfig.Binds}} {{.Config.StopTimeout}}",
    "{{json .HostConfig.Ulimits}} {{json .HostConfig.Devices}} {{json .HostConfig.DeviceCgroupRules}}",
    "{{json .HostConfig.Mounts}} {{json .HostConfig.Tmpfs}} {{json .HostConfig.Binds}} {{.HostConfig.ShmSize}}",
    "{{json .HostConfig.Dns}} {{json .HostConfig.DnsSearch}} {{json .HostConfig.DnsOptions}} {{.Config.Domainname}}",
    "{{json .HostConfig.ExtraHosts}} {{json .HostConfig.Sysctls}} {{json .HostConfig.GroupAdd}}",
    "{{json .HostConfig.SecurityOpt}} {{.HostConfig.CgroupParent}} {{json .HostConfig.LogConfig}} "
    "{{.HostConfig.IpcMode}}",
    "{{.State.Status}} {{.State.StartedAt}} {{range .Mounts}}{{.Destination}}{{end}} {{.HostConfig.Init}}",
)


def by_place(mounts: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["Destination"]: each for each in mounts}


class Docker:
    """A daemon of the test's own: no bridge, no firewall, nothing outside of its directory."""

    def __init__(self, home: Path) -> None:
        self._environment = {**os.environ, "DOCKER_HOST": f"unix://{home}/d.sock", "DOCKER_CONFIG": str(home)}

    def __call__(self, *words: str, input: bytes = b"") -> str:
        done = subprocess.run(
            ["docker", *words], env=self._environment, input=input, capture_output=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()


@pytest.fixture
def docker(needs: Needs, needs_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    needs("docker")
    home = tmp_path_factory.mktemp("d")
    with (home / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [needs("dockerd"), "--data-root", home / "root", "--exec-root", home / "exec", "--pidfile", home / "pid",
             "--host", f"unix://{home}/d.sock", "--storage-driver=vfs", "--bridge=none", "--iptables=false",
             "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"],
            stdout=subprocess.DEVNULL, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not (home / "d.sock").exists():
            assert daemon.poll() is None, (home / "log").read_text()
            assert time.monotonic() < deadline, (home / "log").read_text()
            time.sleep(0.1)
        yield Docker(home)
    finally:
        daemon.terminate()
        daemon.wait(timeout=60)


def paths(document: Any, before: str = "") -> set[str]:
    """``State.Pid``, ``Mounts.Type``, …: the names of all fields, but not of what a user has named."""
    if isinstance(document, list):
        return set().union(*(paths(each, before) for each in document if isinstance(each, dict)))
    if not isinstance(document, dict) or before in (
        "Config.Labels",
        "HostConfig.LogConfig.Config",
        "HostConfig.Sysctls",
    ):
        return set()
    found = set()
    for name, value in document.items():
        path = f"{before}.{name}" if before else name
        found |= {path} | paths(value, path)
    return found


def test_what_is_inspected_and_listed_has_dockers_names(docker: Docker, lab: Lab, engine: Engine) -> None:
    image = subprocess.run(["tar", "-c", "-T", "/dev/null"], capture_output=True, check=True).stdout
    docker("import", "-", "lab/base", input=image)
    docker(*CREATE[:1], "--network", "none", *CREATE[1:])
    assert lab(*CREATE).returncode == 0

    theirs = paths(json.loads(docker("inspect", "pet"))[0])
    ours = paths(json.loads(lab("inspect", "pet").stdout)[0])
    assert ours - theirs - NEWER == set()
    unmentioned = {path for path in theirs - ours if not path.startswith("NetworkSettings.")}
    assert unmentioned - LEFT_OUT == set()

    rows = [json.loads(text) for text in (docker(*LIST), lab(*LIST).stdout)]
    for row in rows:
        row["Mounts"] = sorted(row["Mounts"].split(","))  # docker's come in another order each time
    theirs_row, ours_row = ({name: row[name] for name in SAME} for row in rows)
    assert ours_row == theirs_row
    mounts = [json.loads(text) for text in (docker(*MOUNTS), lab(*MOUNTS).stdout)]
    assert by_place(mounts[1]) == by_place(mounts[0])
    for form in FORMS:
        assert lab("inspect", "-f", form, "pet").stdout == docker("inspect", "-f", form, "pet")
