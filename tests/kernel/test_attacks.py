"""Ways out of a container that were found in other engines: each is tried here, and must fail."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from labcontainer.errors import InitError, LabError

if TYPE_CHECKING:
    from labcontainer.engine import Engine
    from labcontainer.engine.container import Container


def plant(container: Container, path: str, target: str) -> None:
    """Put a link into the container's root before it starts, as a hostile image would have it."""
    link = container.directory / "upper" / path.lstrip("/")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


def run_with_link(lab: Engine, link: str, target: str, **settings: Any) -> str:
    """What a container prints whose image has that link; or the error that refuses it."""
    container = lab.containers.create("lab/base", ["ls", "/"], **settings)
    try:
        plant(container, link, target)
        container.start()
        container.wait(timeout=20)
        said: bytes = container.logs()
        return said.decode()
    except LabError as error:
        return str(error)
    finally:
        container.remove(force=True)


@pytest.mark.parametrize("way", ["..", "../../../../..", "/..", "/proc/1/root", "/proc/self/cwd/.."])
def test_a_link_at_a_mount_point_leads_nowhere_on_the_host(lab: Engine, tmp_path: Path, way: str) -> None:
    """CVE-2021-30465: the mount point of a volume is reached through a link that leads out of the rootfs."""
    source, outside = tmp_path / "source", tmp_path / "outside"
    source.mkdir()
    outside.mkdir()
    volume = {str(source): {"bind": "/data/made/deep", "mode": "rw"}}
    run_with_link(lab, "/data", f"{way}{outside}", volumes=volume)
    assert os.listdir(outside) == []


def test_the_engines_own_program_is_refused_as_a_command(lab: Engine) -> None:
    """CVE-2019-5736: /proc/self/exe is the host's Python until the container's command has been executed."""
    script = "printf '#!/proc/self/exe\\n' > /evil; printf '#!/evil\\n' > /twice; ln -s /proc/self/exe /link; "
    script += "chmod +x /evil /twice"
    container = lab.containers.run("lab/base", ["sh", "-c", f"{script}; exec sleep 60"], detach=True)
    try:
        while container.exec_run(["test", "-x", "/twice"]).exit_code:
            pass
        for path in ("/proc/self/exe", "/link", "/evil", "/twice"):
            with pytest.raises(InitError, match="leads to a program of the host's"):
                container.exec_run([path])
    finally:
        container.remove(force=True)
    with pytest.raises(InitError, match="leads to a program of the host's"):
        lab.containers.run("lab/base", ["/proc/self/exe"], remove=True)


def test_a_command_inherits_nothing_of_the_engines(lab: Engine) -> None:
    """CVE-2024-21626: a descriptor of the host's, inherited or as the working directory, leads out of the container."""
    container = lab.containers.run("lab/base", ["sleep", "60"], detach=True)
    try:
        # The fourth is that of ls itself, on the directory that it reads.
        assert container.exec_run(["ls", "/proc/self/fd"]).output == b"0\n1\n2\n3\n"
        assert lab.containers.run("lab/base", ["ls", "/proc/self/fd"], remove=True) == b"0\n1\n2\n3\n"
        for number in range(3, 20):
            with pytest.raises(InitError):
                container.exec_run(["true"], workdir=f"/proc/self/fd/{number}")
    finally:
        container.remove(force=True)


@pytest.mark.usefixtures("needs_root")
def test_a_pid_1_that_stays_python_cannot_be_looked_into(lab: Engine) -> None:
    """CVE-2019-5736, by the long way: with --init a process of the host's Python lives in the container."""
    container = lab.containers.run("lab/base", ["sleep", "60"], detach=True, init=True)
    try:
        for command in ("readlink /proc/1/exe", "cat /proc/1/environ", "readlink /proc/1/fd/0", "cat /proc/1/maps"):
            seen = container.exec_run(["sh", "-c", f"{command} 2>/dev/null"])
            assert (seen.exit_code != 0, seen.output) == (True, b"")
    finally:
        container.remove(force=True)


@pytest.mark.parametrize("place", ["/proc", "/sys"])
def test_an_image_whose_proc_or_sys_is_a_link_is_refused(lab: Engine, place: str) -> None:
    """CVE-2019-19921, CVE-2023-27561: elsewhere they would be mounted with their dangerous paths unmasked."""
    for target in ("/elsewhere", "/etc", "../../../etc"):
        assert "refusing to mount there" in run_with_link(lab, place, target)
