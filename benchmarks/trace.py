"""What the glass box costs: off, for each call and for a whole container; and on.

    python benchmarks/trace.py [ROUNDS]

A recorder that is off is two tests of an empty tuple in each call through ``kernel/``. They are measured alone, and as
the difference between ``process.umask`` and the ``os.umask`` within, which also has the wrapper in it. Then containers
are run with and without a recorder, in an order that is drawn anew each round.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from labcontainer.engine import Engine
from labcontainer.kernel import process, trace

LIMITS = {"mem_limit": "64m", "nano_cpus": 500_000_000, "pids_limit": 50}
CALLS, REPEATS = 10_000, 15


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rounds", nargs="?", type=int, default=40)
    rounds = parser.parse_args().rounds
    off_ns = calls()
    with (
        tempfile.TemporaryDirectory(prefix="lab-bench-") as place,
        Engine(Path(place) / "r", Path(place) / "s") as engine,
    ):
        containers(engine, rounds, off_ns)


def calls() -> float:
    """Nanoseconds for each call, with nobody recording and with somebody; the first is returned."""
    nothing = ns(lambda: None)
    off = ns(lambda: trace.emit("umask", {}, 0, 0, trace.clock())) - nothing
    bare, wrapped = ns(lambda: os.umask(0o022)), ns(lambda: process.umask(0o022))
    with trace.recording() as events:
        on = ns(lambda: (process.umask(0o022), events.clear()))
    print(f"{'':42}{'ns a call':>10}")
    for name, value in (
        ("os.umask, a quick system call", bare - nothing),
        ("a recorder that is off", off),
        ("the wrapper, its recorder being off", wrapped - bare),
        ("the wrapper and a recorder in memory", on - bare),
    ):
        print(f"{name:42}{value:10.0f}")
    return off


def ns(act: Callable[[], object]) -> float:
    """The least of several means: what disturbs a measurement makes it longer, never shorter."""
    means = []
    for _ in range(REPEATS):
        began = time.perf_counter_ns()
        for _ in range(CALLS):
            act()
        means.append((time.perf_counter_ns() - began) / CALLS)
    return min(means)


def containers(engine: Engine, rounds: int, off_ns: float) -> None:
    """Milliseconds of whole containers, traced and not, and what part of one a recorder costs that is off."""
    seen: list[int] = []

    def plain() -> None:
        engine.containers.run("lab/base", "true", remove=True, **LIMITS)

    def traced() -> None:
        with engine.trace() as recording:
            plain()
        seen.append(len(recording.events))

    times: dict[Callable[[], None], list[float]] = {plain: [], traced: []}
    for number in range(rounds + 2):
        for act in random.sample(list(times), 2):
            began = time.perf_counter()
            act()
            if number >= 2:  # the first two rounds warm caches up
                times[act].append((time.perf_counter() - began) * 1000)
    print(f"\n{'':16}{'median ms':>10}{'quartiles':>16}")
    for act, values in times.items():
        low, middle, high = statistics.quantiles(values, n=4)
        print(f"{act.__name__:16}{middle:10.1f}{low:9.1f} –{high:5.1f}")
    count, plain_ms = statistics.median(seen), statistics.median(times[plain])
    off_us, part = count * off_ns / 1000, count * off_ns / (plain_ms * 1e6)
    print(f"\na container makes {count:.0f} calls through kernel/; in all of them a recorder that is off")
    print(f"takes {off_us:.0f} µs: {part:.2%} of a container")


if __name__ == "__main__":
    main()
