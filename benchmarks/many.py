"""How the engine bears many containers: what grows with their number, what each costs, what is left of them.

    python benchmarks/many.py [--running 0,50,200,500] [--starts 15] [--churn 1000] [--threads 8]

With each number of containers running: the start of one more (``run --rm true`` by the API, to the removed container),
``lab ps`` as a program, ``containers.list()``, and the monitors' memory (PSS: what is shared is counted in shares) and
descriptors. Then so many create-run-remove from several threads, after which an auditor (`audit`) that asks the engine
nothing must find nothing left; the exit status is 1 where it does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import audit
from audit import Auditor

from labcontainer.engine import Container, Engine
from labcontainer.errors import LabError
from labcontainer.kernel import proc, process
from labcontainer.kernel.cgroup import delegation

IMAGE = "lab/base"


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--running", default="0,50,200,500", help="numbers of containers, ascending")
    parser.add_argument("--starts", type=int, default=15, help="starts measured beside each number")
    parser.add_argument("--churn", type=int, default=1000, help="create-run-remove in all")
    parser.add_argument("--threads", type=int, default=8, help="threads that do them")
    given = parser.parse_args()
    base = f"labcontainer-many-{os.getpid()}" if os.geteuid() == 0 else f"{delegation.NAME}-{os.geteuid()}"
    os.environ[delegation.VARIABLE] = base
    process.become_subreaper()
    with tempfile.TemporaryDirectory(prefix="lab-many-") as place:
        root, run = Path(place) / "r", Path(place) / "s"
        os.environ["LABCONTAINER_ROOT"], os.environ["LABCONTAINER_RUN"] = str(root), str(run)
        with Engine(root, run) as engine:
            engine.containers.run(IMAGE, "true", remove=True)
            beside(engine, [int(number) for number in given.running.split(",")], given.starts)
            left = churn(engine, given.churn, given.threads, Auditor(root, run, set(), base))
    for directory in audit.CGROUPS.rglob(base):
        if os.geteuid() == 0:
            directory.rmdir()
    sys.exit(1 if left else 0)


def beside(engine: Engine, numbers: list[int], starts: int) -> None:
    """The table of what is measured beside so many running containers."""
    print(f"{'running':>8}{'start ms':>10}{'of first':>10}{'lab ps ms':>11}{'list() ms':>11}{'open ms':>9}"
          f"{'PSS MB each':>13}{'sum MB':>8}{'fds each':>10}{'started in s':>14}")  # fmt: skip
    running: list[Container] = []
    first = 0.0
    try:
        for number in numbers:
            began = time.perf_counter()
            while len(running) < number:
                running.append(engine.containers.run(IMAGE, ["sleep", "100000"], detach=True))
            took = time.perf_counter() - began
            start = median_ms(lambda: engine.containers.run(IMAGE, "true", remove=True), starts)
            first = first or start
            shown = median_ms(lab_ps, 5)
            listed = median_ms(engine.containers.list, 5)
            opened = median_ms(lambda: Engine(engine.root, engine.run), 5)
            each, fds = monitors(running)
            print(f"{number:8}{start:10.1f}{start / first:10.2f}{shown:11.1f}{listed:11.1f}{opened:9.1f}"
                  f"{each / 2**20:13.2f}{each * number / 2**20:8.0f}{fds:10.1f}{took:14.1f}", flush=True)  # fmt: skip
    finally:
        for container in running:
            container.remove(force=True)


def median_ms(act: Callable[[], object], times: int) -> float:
    """The median of so many, in milliseconds; the first is not counted."""
    taken = []
    for _ in range(times + 1):
        began = time.perf_counter()
        act()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken[1:])


def lab_ps() -> None:
    """``lab ps`` as a program, from start to end."""
    subprocess.run([sys.executable, "-P", "-m", "labcontainer.cli", "ps"], check=True, stdout=subprocess.DEVNULL)


def monitors(containers: list[Container]) -> tuple[float, float]:
    """The mean PSS in bytes of these containers' monitors, and how many descriptors each holds."""
    pids = [container.state.monitor.pid for container in containers if container.state.monitor]
    if not pids:
        return 0.0, 0.0
    return statistics.mean(map(proc.memory_pss_bytes, pids)), statistics.mean(map(audit.descriptors, pids))


def churn(engine: Engine, number: int, threads: int, auditor: Auditor) -> list[str]:
    """So many create-run-remove, and what is left of them."""
    if not number:
        return []
    turns, failed, lock = iter(range(number)), [], threading.Lock()
    held = audit.descriptors(os.getpid())

    def work() -> None:
        while True:
            with lock:
                turn = next(turns, None)
            if turn is None:
                return
            try:
                said = one(engine, turn)
            except (LabError, OSError) as error:
                said = f"{type(error).__name__}: {error}"
            if said:
                failed.append(said)

    began = time.perf_counter()
    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took = time.perf_counter() - began
    left = auditor.leaks(set())
    if (now := audit.descriptors(os.getpid())) > held:
        left.append(f"descriptors of the client: {held}, then {now}")
    print(
        f"\n{number} × create, start, wait, logs, remove from {threads} threads: {took:.1f} s, {number / took:.0f} a s"
    )
    print(f"failed {len(failed)}, left behind {len(left)}")
    for line in (*failed[:10], *left[:10]):
        print(f"    {line}")
    return failed + left


def one(engine: Engine, turn: int) -> str:
    """One container from its making to its end; what was wrong with it."""
    container = engine.containers.create(IMAGE, ["echo", str(turn)], name=f"turn{turn}")
    container.start()
    code = container.wait(timeout=60 * audit.SLOW)["StatusCode"]
    said = container.logs()
    container.remove()
    return "" if (code, said) == (0, f"{turn}\n".encode()) else f"turn {turn}: {code}, {said!r}"


if __name__ == "__main__":
    main()
