"""Keys: what the engine's user has unlocked, and what one container keeps from another. The filter is off in each."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labcontainer.engine import Engine

# Tries every way to a key that is not ours: by its name through the session, by its number, by joining its keyring.
THIEF = """
import ctypes, json, os, platform, sys
libc = ctypes.CDLL(None, use_errno=True)
ADD_KEY, REQUEST_KEY, KEYCTL = {"x86_64": (248, 249, 250), "aarch64": (217, 218, 219)}[platform.machine()]
JOIN, SEARCH, READ, SESSION = 1, 10, 11, -3
def call(number, *arguments):
    return libc.syscall(number, *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
def read(key):
    memory = ctypes.create_string_buffer(64)
    return memory.raw[:size].decode() if (size := call(KEYCTL, READ, key, memory, 64)) >= 0 else None
def keep(secret):
    return call(ADD_KEY, b"user", b"lab-secret", secret, len(secret), SESSION)
def found():
    return read(call(KEYCTL, SEARCH, SESSION, b"user", b"lab-secret", 0))
def steal(number, names):
    yield found()
    yield read(call(REQUEST_KEY, b"user", b"lab-secret", None, 0))
    yield read(number)
    for name in names:
        call(KEYCTL, JOIN, name.encode())
        yield found()
def stolen(number, *names):
    return [secret for secret in steal(number, names) if secret]
"""
PRINT = f"{THIEF}\nprint(json.dumps(stolen(int(sys.argv[1]), *sys.argv[2:])))"
KEEP = f"{THIEF}\nprint(keep(b'of another'), found(), flush=True)\nimport time; time.sleep(60)"
# From a session that has a key: one container, a second process in another, and that other's own key.
HOST = (
    THIEF
    + f"""
from pathlib import Path
from labcontainer.engine import Engine
call(KEYCTL, JOIN, None)
of_host = keep(b"of the host")
def attack(run, number, *names):
    return json.loads(run(["python3", "-c", {PRINT!r}, str(number), "_ses", *names]))
with Engine(Path(sys.argv[1]), Path(sys.argv[2])) as engine:
    def run(command):
        return engine.containers.run("lab/python", command, remove=True, seccomp=False)
    box = engine.containers.run("lab/python", ["python3", "-c", {KEEP!r}], detach=True, seccomp=False)
    while not (said := box.logs().decode().split("\\n")[0]):
        assert box.status == "running"
    number, _, kept = said.partition(" ")
    found = {{
        "outside": stolen(of_host),
        "by a container": attack(run, of_host),
        "by an exec": attack(lambda command: box.exec_run(command).output, of_host),
        "kept": kept,
        "by another": attack(run, number, "_ses." + box.id, f"_uid_ses.{{os.getuid()}}", f"_uid.{{os.getuid()}}"),
    }}
    box.remove(force=True)
print(json.dumps(found))
"""
)


def test_keys_of_the_session_and_of_other_containers_are_out_of_reach(engine: Engine) -> None:
    places = (str(engine.root), str(engine.run))
    done = subprocess.run([sys.executable, "-c", HOST, *places], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found.pop("outside")) == {"of the host"}, "the attack itself does not work"
    assert found == {"kept": "of another", "by a container": [], "by an exec": [], "by another": []}
