"""Session keyrings of runc's and our containers: a new one, or with ``--no-new-keyring`` the caller's."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.bundle import Config, Runtime

pytestmark = pytest.mark.usefixtures("needs_root")

KEYS = """
import ctypes, os, platform, sys
libc = ctypes.CDLL(None, use_errno=True)
ADD_KEY, KEYCTL = {"x86_64": (248, 250), "aarch64": (217, 219)}[platform.machine()]
JOIN, SEARCH, SESSION = 1, 10, ctypes.c_long(-3)
"""
# Has a key in a session keyring of its own, and becomes the runtime.
CALLER = f"""{KEYS}
libc.syscall(KEYCTL, JOIN, None)
assert libc.syscall(ADD_KEY, b"user", b"lab-secret", b"x", 1, SESSION) > 0
os.execvp(sys.argv[1], sys.argv[1:])
"""
LOOK = f"""{KEYS}
print(libc.syscall(KEYCTL, SEARCH, SESSION, b"user", b"lab-secret", 0) > 0)
"""


def use_the_hosts_python(config: Config) -> None:
    for path in ("/usr", "/lib", "/lib64", sys.base_prefix):
        mount = {"destination": path, "type": "bind", "source": path, "options": ["rbind", "ro"]}
        config["mounts"].append(mount)
    config["process"]["args"] = [f"{sys.base_prefix}/bin/python3", "-I", "-c", LOOK]


def test_the_callers_keys_are_out_of_reach_unless_that_is_asked_for(runtime: Runtime) -> None:
    runtime.configure(use_the_hosts_python)
    sees = {}
    for id, words in (("new", []), ("old", ["--no-new-keyring"])):
        command = [*runtime.command, "--root", str(runtime.root), "run", *words, id]
        done = subprocess.run([sys.executable, "-c", CALLER, *command], cwd=runtime.bundle, capture_output=True,
                              stdin=subprocess.DEVNULL, text=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr
        sees[id] = done.stdout.strip()
    assert sees == {"new": "False", "old": "True"}
