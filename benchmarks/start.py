"""How long a container takes from call to cleaned up: ours beside its peers, interleaved in one run.

    python benchmarks/start.py [ROUNDS]

Every contender runs ``true`` once a round, in an order that is drawn anew; medians and ratios are printed. Ours and the
peers' containers have all namespaces, a memory, CPU and pids limit; ours mounts an overlay, the bundle that runc and
crun get is a plain directory. crun refuses a hybrid cgroup host, so both run where version 2 is unmounted.

"Cleaned up" means that processes, mounts, cgroups and the container's name are gone. The peers' bundle is never
deleted; the files of ours are, by its monitor, after the answer. `lab` gets a directory for compiled Python, which an
installation has, whatever PYTHONDONTWRITEBYTECODE says here: the rounds that are not counted compile.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from labcontainer.engine import Engine
from labcontainer.kernel import proc

LIMITS = {"mem_limit": "64m", "nano_cpus": 500_000_000, "pids_limit": 50}
Contender = Callable[[], object]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rounds", nargs="?", type=int, default=25)
    rounds = parser.parse_args().rounds
    with (
        tempfile.TemporaryDirectory(prefix="lab-bench-") as place,
        Engine(Path(place) / "r", Path(place) / "s") as engine,
    ):
        engine.containers.run("lab/base", "true", remove=True)
        contenders = found(engine, Path(place))
        times = measure(contenders, rounds)
        report(times)
        print(f"\nimport labcontainer: {import_ms(compiled(Path(place))):.1f} ms")
        for count in (1, 20):
            print(f"a monitor's PSS, {count} running: {monitor_pss_bytes(engine, count) / 2**20:.1f} MB")


def found(engine: Engine, place: Path) -> dict[str, Contender]:
    """Those contenders that this machine has."""
    limits = ["-m", "64m", "--cpus", "0.5", "--pids-limit", "50"]
    lab = lab_command(engine, place, "run", "--rm", *limits, "lab/base", "true")
    contenders: dict[str, Contender] = {
        "fork + exec": lambda: subprocess.run(["true"], check=True),
        "engine API": lambda: engine.containers.run("lab/base", "true", remove=True, **LIMITS),
        "lab run --rm": lab,
    }
    bundle = make_bundle(engine, place / "bundle")
    for runtime in ("runc", "crun"):
        if shutil.which(runtime):
            contenders[f"{runtime} run"] = peer([runtime, "run", "-b", str(bundle), "lab-bench"])
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        docker = ["docker", "run", "--rm", "--network", "none", "busybox", "true"]
        contenders["docker run"] = lambda: subprocess.run(docker, check=True, capture_output=True)
    return contenders


def compiled(place: Path) -> dict[str, str]:
    """Our environment, with a place where Python keeps what it has compiled."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**environment, "PYTHONPYCACHEPREFIX": str(place / "compiled")}


def lab_command(engine: Engine, place: Path, *words: str) -> Contender:
    """``lab`` with these words, as a new process."""
    places = {"LABCONTAINER_ROOT": str(engine.root), "LABCONTAINER_RUN": str(engine.run)}
    command = [sys.executable, "-P", "-m", "labcontainer.cli", *words]
    return lambda: subprocess.run(command, check=True, env={**compiled(place), **places})


def make_bundle(engine: Engine, bundle: Path, *command: str, cgroup: str = "lab-bench") -> Path:
    """A bundle of ours with its layers copied into a plain rootfs, as runc and crun want it."""
    container = engine.containers.create("lab/base", list(command) or "true", **LIMITS)
    try:
        config = json.loads((container.directory / "config.json").read_text())
    finally:
        container.remove(force=True)
    config["linux"]["cgroupsPath"] = f"/{cgroup}"
    (bundle / "rootfs").mkdir(parents=True)
    image = engine.images.get("lab/base")
    for layer in reversed(engine.snapshots.lowerdirs(image, engine.store)):
        subprocess.run(["cp", "-a", f"{layer}/.", bundle / "rootfs"], check=True)
    (bundle / "config.json").write_text(json.dumps(config))
    return bundle


def peer(command: list[str]) -> Contender:
    """Run a runtime's `command` where cgroup version 2 is out of sight on a hybrid host."""
    hybrid = Path("/sys/fs/cgroup/unified").is_dir()
    if not hybrid:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return lambda: subprocess.run(command, check=True, **quiet)
    # One shell that has left the mount namespace stays, so that unsharing is not measured.
    shell = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", "umount /sys/fs/cgroup/unified; echo; while read line; do $line; echo $?; done"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdout.readline()
    stdin, stdout = shell.stdin, shell.stdout

    def run() -> None:
        stdin.write(" ".join(command) + "\n")
        stdin.flush()
        if stdout.readline().strip() != "0":
            raise RuntimeError(f"{' '.join(command)} failed")

    return run


def measure(contenders: dict[str, Contender], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each round for each contender."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 2):
        for name in random.sample(list(contenders), len(contenders)):
            began = time.perf_counter()
            contenders[name]()
            if number >= 2:  # the first two rounds warm caches up
                times[name].append((time.perf_counter() - began) * 1000)
    return times


def report(times: dict[str, list[float]]) -> None:
    """Print medians, quartiles, and ratios to ours; how busy the machine was says what they are worth."""
    ours = statistics.median(times["engine API"])
    print("load average " + " ".join(f"{load:.1f}" for load in os.getloadavg()))
    print(f"{'':16}{'median ms':>10}{'quartiles':>16}{'of engine API':>15}")
    for name, values in sorted(times.items(), key=lambda item: statistics.median(item[1])):
        low, middle, high = statistics.quantiles(values, n=4)
        print(f"{name:16}{middle:10.1f}{low:9.1f} –{high:5.1f}{middle / ours:15.2f}")


def import_ms(environment: dict[str, str]) -> float:
    """The median time of ``import labcontainer`` in a fresh interpreter, less the interpreter's own start."""
    code = "import time; a = time.perf_counter(); import labcontainer; print((time.perf_counter() - a) * 1000)"
    command = [sys.executable, "-c", code]
    runs = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(10)]
    return statistics.median(float(run.stdout) for run in runs[1:])  # the first compiles


def monitor_pss_bytes(engine: Engine, count: int) -> float:
    """The median PSS of `count` monitors that share their zygote's pages."""
    containers = [engine.containers.run("lab/base", ["sleep", "600"], detach=True, remove=True) for _ in range(count)]
    try:
        monitors = [container.state.monitor for container in containers]
        return statistics.median(proc.memory_pss_bytes(monitor.pid) for monitor in monitors if monitor)
    finally:
        for container in containers:
            container.remove(force=True)


if __name__ == "__main__":
    main()
