"""``make test-v2``: the kernel and e2e tests on a machine whose only cgroup hierarchy is version 2.

Debian's User-Mode Linux is a Linux kernel that runs as a program: no emulation and no KVM, and it is up in two seconds.
Its root is this machine's own files, read only, with a disk of its own laid over them: nothing is installed in the
guest, and what it writes is gone with it. System calls and page faults cost more there, so the time limits of the tests
grow with ``LAB_SLOW``; it has one CPU, and no cpuset or hugetlb controller and no pressure files.

    $ make test-v2 ARGS="tests/kernel -k cgroup"

``machine_v2.sh`` is what runs inside. Who interrupts this ends the guest, too.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from labcontainer.image import starter
from labcontainer.image.store import Store

REPOSITORY = Path(__file__).parents[1]
SUITES = ("tests/kernel", "tests/e2e")
KERNEL = "linux.uml"
PACKAGES = "sudo apt-get install user-mode-linux e2fsprogs kmod"
MEMORY = "3G"
DISK_BYTES = 4 << 30
SLOWER = 10
# Plugins are loaded by name: nbval alone, which these suites do not need, is half of what pytest imports.
PLUGINS = ("pytest_timeout",)
QUICK = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
LEFT_OUT = (".venv", ".git", ".mypy_cache", ".ruff_cache", ".hypothesis", ".import_linter_cache", "test-results")


def main(arguments: list[str]) -> int:
    """Boot, run pytest with `arguments` in the guest, and return its exit status."""
    kernel, mkfs = (shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") for name in (KERNEL, "mkfs.ext4"))
    if kernel is None or mkfs is None:
        sys.stderr.write(f"no User-Mode Linux to boot here; try: {PACKAGES}\n")
        return 1
    arguments = arguments or list(SUITES)
    if status := compiled(arguments):
        return status
    with tempfile.TemporaryDirectory(prefix="lab-v2-") as directory:
        box = Path(directory)
        starter.ensure(Store(box / "images"))  # a second here, ten there
        with tarfile.open(box / "source.tar", "w") as archive:
            archive.add(REPOSITORY, ".", filter=lambda member: None if left_out(member.name) else member)
        (box / "disk").touch()
        os.truncate(box / "disk", DISK_BYTES)
        subprocess.run([mkfs, "-q", "-F", "-O", "^has_journal", str(box / "disk")], check=True)
        (box / "init").write_text(script(box, arguments))
        (box / "init").chmod(0o755)
        boot(kernel, box)
        return verdict(box)


def compiled(arguments: list[str]) -> int:
    """Have Python's compiled files made here; returns pytest's exit status if it does not even collect `arguments`."""
    writes = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    places = [str(REPOSITORY / "labcontainer"), str(Path(sys.prefix, "lib"))]
    subprocess.run([sys.executable, "-m", "compileall", "-qq", "-j2", *places], env=writes, check=False)
    collect = subprocess.run(
        [*pytest(arguments), "--collect-only", "-q"], env={**writes, **QUICK}, cwd=REPOSITORY,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if collect.returncode:
        sys.stderr.write(collect.stdout + collect.stderr)
    return collect.returncode


def boot(kernel: str, box: Path) -> None:
    """Run the guest until it has turned itself off."""
    machine = [kernel, f"mem={MEMORY}", f"umid={box.name}", f"uml_dir={box}", "quiet", "loglevel=1", "selinux=0"]
    machine += ["root=/dev/root", "rootfstype=hostfs", "ro", f"ubd0={box / 'disk'}", f"init={box / 'init'}"]
    # Its console is our output; it has no input, and opens no terminal.
    machine += ["con=null", "con0=null,fd:1"]
    guest = subprocess.Popen(machine, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        guest.wait()
    finally:
        # Each process of the guest is one of this machine, in the guest's group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(guest.pid, signal.SIGKILL)


def verdict(box: Path) -> int:
    """The exit status of the guest's two runs of pytest: as root, then as an ordinary user."""
    try:
        statuses = [int(word) for word in (box / "verdict").read_text().split()]
    except FileNotFoundError:
        sys.stderr.write("the guest ended before its tests did\n")
        return 1
    return max(statuses)


def pytest(arguments: list[str]) -> list[str]:
    """The command that runs pytest with `arguments`."""
    plugins = [word for plugin in PLUGINS for word in ("-p", plugin)]
    return [sys.executable, "-m", "pytest", *plugins, f"--timeout={120 * SLOWER}", *arguments]


def left_out(name: str) -> bool:
    """Whether the guest's copy of the source does without the member `name`: it is large, or mounted."""
    return name.removeprefix("./").split("/")[0] in LEFT_OUT


def script(box: Path, arguments: list[str]) -> str:
    """What the guest's first process runs."""
    pythons = (Path(sys.base_prefix), Path(sys.prefix))
    ancestors = {ancestor for place in (*pythons, REPOSITORY / "tests") for ancestor in place.parents}
    known = {name: os.environ[name] for name in ("LAB_REQUIRE", "CI", "LANG") if name in os.environ}
    variables = {
        "LAB_BOX": str(box),
        "LAB_CLOSED": shlex.join(str(ancestor) for ancestor in sorted(ancestors) if not ancestor.stat().st_mode & 1),
        "LAB_PYTHONS": shlex.join(map(str, pythons)),
        "LAB_REPOSITORY": str(REPOSITORY),
        "LAB_SLOW": str(SLOWER),
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        **QUICK,
        **known,
    }
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
    inside = shlex.join(["sh", str(REPOSITORY / "tests/machine_v2.sh"), *pytest(arguments)])
    return f"#!/bin/sh\n{exports}\nexec {inside}\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
