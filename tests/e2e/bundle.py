"""An OCI runtime and a bundle for it: runc's, or ours, whose command line is the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Config = dict[str, Any]


@dataclass
class Runtime:
    """A runtime's command, its root, and a bundle whose config a test may change before it is used."""

    command: list[str]
    root: Path
    bundle: Path

    def __call__(self, *words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        command = [*self.command, "--root", str(self.root), *words]
        return subprocess.run(command, cwd=self.bundle, capture_output=True, check=False, **options)

    def well(self, *words: str) -> bytes:
        done = self(*words, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def create(self, id: str, *words: str) -> None:
        refusal = self.refusal(id, *words)
        assert refusal is None, refusal

    def refusal(self, id: str, *words: str) -> str | None:
        """What `create` makes keeps our streams: they are files, and not pipes whose end would never come."""
        with (self.bundle / "output").open("wb") as output, (self.bundle / "errors").open("wb") as errors:
            command = [*self.command, "--root", str(self.root), "create", *words, id]
            done = subprocess.run(
                command, cwd=self.bundle, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, check=False
            )
        return (self.bundle / "errors").read_text() if done.returncode else None

    def output(self) -> bytes:
        return (self.bundle / "output").read_bytes()

    def status(self, id: str) -> str:
        return str(json.loads(self.well("state", id))["status"])

    def configure(self, change: Callable[[Config], object]) -> None:
        path = self.bundle / "config.json"
        config = json.loads(path.read_text())
        change(config)
        path.write_text(json.dumps(config))

    def shell(self, script: str) -> None:
        self.configure(lambda config: config["process"].update(args=["sh", "-c", script]))


def make_bundle(runtime: Runtime) -> None:
    rootfs = runtime.bundle / "rootfs"
    for name in ("bin", "proc", "sys", "dev", "tmp", "etc"):
        (rootfs / name).mkdir(parents=True)
    shutil.copy(str(shutil.which("busybox")), rootfs / "bin" / "busybox")
    for name in ("sh", "sleep", "cat", "id", "ls", "echo", "hostname", "readlink", "grep", "mount", "stat", "touch"):
        (rootfs / "bin" / name).symlink_to("busybox")
    runtime.well("spec")
    # A cgroup below our own base, so that whatever is left of it is found.
    parent = f"/{os.environ['LABCONTAINER_CGROUP']}/{runtime.command[0].rpartition('/')[2]}"

    def change(config: Config) -> None:
        config["ociVersion"] = "1.0.2"
        config["process"].update(terminal=False, args=["sleep", "60"], rlimits=[])
        config["root"]["readonly"] = False
        config["linux"]["cgroupsPath"] = parent

    runtime.configure(change)
