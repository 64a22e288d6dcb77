"""How long one more process in a running container takes, from call to end: ours beside runc's and crun's exec.

    python benchmarks/exec.py [ROUNDS]

Every contender has a container of its own that sleeps, and runs ``true`` in it once a round, in an order that is drawn
anew. What is the same in all of them, and how `lab` and the peers are run, is in `start.py`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from start import LIMITS, Contender, lab_command, make_bundle, measure, peer, report

from labcontainer.engine import Engine

_SLEEP = ("sleep", "86400")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rounds", nargs="?", type=int, default=25)
    rounds = parser.parse_args().rounds
    with (
        tempfile.TemporaryDirectory(prefix="lab-bench-") as place,
        Engine(Path(place) / "r", Path(place) / "s") as engine,
        ExitStack() as ending,
    ):
        report(measure(found(engine, Path(place), ending.callback), rounds))


def found(engine: Engine, place: Path, at_the_end: Callable[[Callable[[], object]], object]) -> dict[str, Contender]:
    """Those contenders that this machine has, each with its container running; `at_the_end` those are removed."""
    container = engine.containers.run("lab/base", list(_SLEEP), detach=True, **LIMITS)
    at_the_end(lambda: container.remove(force=True))
    contenders: dict[str, Contender] = {
        "fork + exec": lambda: subprocess.run(["true"], check=True),
        "engine API": lambda: container.exec_run("true"),
        "lab exec": lab_command(engine, place, "exec", container.id, "true"),
    }
    for runtime in ("runc", "crun"):
        if shutil.which(runtime):
            name = f"lab-bench-{runtime}"
            bundle = make_bundle(engine, place / runtime, *_SLEEP, cgroup=name)
            peer([runtime, "run", "-d", "-b", str(bundle), name])()
            at_the_end(peer([runtime, "delete", "-f", name]))
            contenders[f"{runtime} exec"] = peer([runtime, "exec", name, "true"])
    return contenders


if __name__ == "__main__":
    main()
