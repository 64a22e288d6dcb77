"""``make test-v2``: the kernel and e2e tests on a machine whose only cgroup hierarchy is version 2.

virtme-ng boots Debian's Linux kernel under qemu on this machine's own files: nothing is installed in the guest, and
what it writes is gone with it. Under emulation (no KVM) commands run about ten times slower, so the time limits of the
tests grow with ``LAB_SLOW``.

    $ make test-v2 ARGS="tests/kernel -k cgroup"
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SUITES = ("tests/kernel", "tests/e2e")
PACKAGES = "sudo apt-get install qemu-system-x86 kmod linux-image-amd64"
SLOWER = 10
# virtme-ng hands back an exit status in some versions only, so the guest says it in words.
VERDICT = re.compile(r"^pytest in the guest ended with (\d+)\s*$", re.MULTILINE)


def main(arguments: list[str]) -> int:
    """Boot, run pytest with `arguments` in the guest, and return its exit status."""
    kernel = newest_kernel()
    if kernel is None or shutil.which(f"qemu-system-{platform.machine()}") is None:
        sys.stderr.write(f"no {'qemu' if kernel else 'Linux kernel to boot'} here; try: {PACKAGES}\n")
        return 1
    sys.stdout.write(f"booting {kernel.name} (half a minute) …\n")
    sys.stdout.flush()
    machine = ["vng", "-r", str(kernel), "--cpus", "2", "--memory", "3G"]
    # vng finds its second half on PATH, which has no .venv where this was started by its python alone.
    surroundings = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    if not boots(machine, surroundings):
        machine.append("--disable-kvm")
    guest = subprocess.Popen(
        [*machine, "--", script(arguments or list(SUITES))],
        env=surroundings, cwd=REPOSITORY,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace",
    )  # fmt: skip
    seen = []
    for line in guest.stdout or ():
        sys.stdout.write(line)
        sys.stdout.flush()
        seen.append(line)
    guest.wait()
    verdict = VERDICT.search("".join(seen))
    return int(verdict[1]) if verdict else guest.returncode or 1


def script(arguments: list[str]) -> str:
    """What the guest's shell runs."""
    known = {name: os.environ[name] for name in ("LAB_REQUIRE", "CI") if name in os.environ}
    variables = {"PYTHONDONTWRITEBYTECODE": "1", "LAB_SLOW": str(SLOWER), **known}
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    pytest = [sys.executable, "-m", "pytest", f"--timeout={120 * SLOWER}", *arguments]
    # virtme-ng lays an overlay over /tmp and /var, on which no other can have its upperdir; /run is memory.
    return (
        "mkdir -p /var/lib/labcontainer && mount -t tmpfs tmpfs /var/lib/labcontainer && "
        f"mkdir -m 1777 /run/t && export TMPDIR=/run/t {exports} PATH=$PATH:/usr/local/bin && {shlex.join(pytest)}; "
        "echo pytest in the guest ended with $?"
    )


def newest_kernel() -> Path | None:
    """The newest Linux kernel here, but not one for clouds, which lacks the file system that virtme-ng needs."""
    kernels = [path for path in Path("/boot").glob("vmlinuz-*") if "cloud" not in path.name]
    readable = (path for path in kernels if os.access(path, os.R_OK))
    return max(readable, key=lambda path: [int(number) for number in re.findall(r"\d+", path.name)], default=None)


def boots(machine: list[str], surroundings: dict[str, str]) -> bool:
    """Whether the machine comes up with KVM: where this one is virtual itself, /dev/kvm may be there and not work."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    command = [*machine, "--", "true"]
    return subprocess.run(command, env=surroundings, cwd=REPOSITORY, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
