"""How long a container takes from call to cleaned up: ours beside its peers, interleaved in one run.

    python benchmarks/start.py [ROUNDS]

Every contender runs ``true`` once a round, in an order that is drawn anew; medians and ratios are printed. Ours and the
peers' containers have all namespaces, a memory, CPU and pids limit; ours mounts an overlay, the bundle that runc and
crun get is a plain directory. crun refuses a hybrid cgroup host, so both run where version 2 is unmounted.
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
        print(f"\nimport labcontainer: {import_ms():.1f} ms")
        print(f"a monitor's PSS: {monitor_pss_bytes(engine) / 2**20:.1f} MB")


def found(engine: Engine, place: Path) -> dict[str, Contender]:
    """Those contenders that this machine has."""
    environment = {**os.environ, "LABCONTAINER_ROOT": str(engine.root), "LABCONTAINER_RUN": str(engine.run)}
    lab = [
        sys.executable,
        "-P",
        "-m",
        "labcontainer.cli",
        "run",
        "--rm",
        "-m",
        "64m",
        "--cpus",
        "0.5",
        "--pids-limit",
        "50",
    ]
    contenders: dict[str, Contender] = {
        "fork + exec": lambda: subprocess.run(["true"], check=True),
        "engine API": lambda: engine.containers.run("lab/base", "true", remove=True, **LIMITS),
        "lab run --rm": lambda: subprocess.run([*lab, "lab/base", "true"], check=True, env=environment),
    }
    bundle = make_bundle(engine, place / "bundle")
    for runtime in ("runc", "crun"):
        if shutil.which(runtime):
            contenders[f"{runtime} run"] = peer(runtime, bundle)
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        docker = ["docker", "run", "--rm", "--network", "none", "busybox", "true"]
        contenders["docker run"] = lambda: subprocess.run(docker, check=True, capture_output=True)
    return contenders


def make_bundle(engine: Engine, bundle: Path) -> Path:
    """A bundle of ours with its layers copied into a plain rootfs, as runc and crun want it."""
    container = engine.containers.create("lab/base", "true", **LIMITS)
    try:
        config = json.loads((container.directory / "config.json").read_text())
    finally:
        container.remove(force=True)
    config["linux"]["cgroupsPath"] = "/lab-bench"
    (bundle / "rootfs").mkdir(parents=True)
    image = engine.images.get("lab/base")
    for layer in reversed(engine.snapshots.lowerdirs(image, engine.store)):
        subprocess.run(["cp", "-a", f"{layer}/.", bundle / "rootfs"], check=True)
    (bundle / "config.json").write_text(json.dumps(config))
    return bundle


def peer(runtime: str, bundle: Path) -> Contender:
    """Run the bundle with `runtime`, where cgroup version 2 is out of sight on a hybrid host."""
    hybrid = Path("/sys/fs/cgroup/unified").is_dir()
    command = [runtime, "run", "-b", str(bundle), "lab-bench"]
    if not hybrid:
        return lambda: subprocess.run(command, check=True, capture_output=True)
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
    """Print medians, quartiles, and ratios to ours."""
    ours = statistics.median(times["engine API"])
    print(f"{'':16}{'median ms':>10}{'quartiles':>16}{'of engine API':>15}")
    for name, values in sorted(times.items(), key=lambda item: statistics.median(item[1])):
        low, middle, high = statistics.quantiles(values, n=4)
        print(f"{name:16}{middle:10.1f}{low:9.1f} –{high:5.1f}{middle / ours:15.2f}")


def import_ms() -> float:
    """The median time of ``import labcontainer`` in a fresh interpreter, less the interpreter's own start."""
    code = "import time; a = time.perf_counter(); import labcontainer; print((time.perf_counter() - a) * 1000)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(9)]
    return statistics.median(float(run.stdout) for run in runs)


def monitor_pss_bytes(engine: Engine) -> float:
    """The median PSS of ten monitors that share their zygote's pages."""
    containers = [engine.containers.run("lab/base", ["sleep", "60"], detach=True, remove=True) for _ in range(10)]
    try:
        monitors = [container.state.monitor for container in containers]
        return statistics.median(proc.memory_pss_bytes(monitor.pid) for monitor in monitors if monitor)
    finally:
        for container in containers:
            container.remove(force=True)


if __name__ == "__main__":
    main()
