"""Kill processes of the engine at random moments, and see whether anything is lost, leaked or wedged.

    python benchmarks/chaos.py [ROUNDS] [--seed N] [--round N]

A round draws a deed (`deeds`), who does it (``lab`` or the API), who is killed with SIGKILL, and when. Then a fresh
engine opens the root, what it says it has mended is checked, the container is used, and removed; and an auditor who
asks the engine nothing (`audit`) looks for what is left. Two containers run through all rounds and must come to no
harm: one sleeps, one counts into its log, in which no number may be missing.

    victims   client, zygote, monitor, init; session, command (of an exec), visitor (of a cp), checker (of a health
              check); all: the client, the zygote and every monitor at once; nobody

The draws of a round depend on the seed and its number alone, so ``--seed N --round M`` does the same again, up to the
machine's own timing. The exit status is 1 where anything was found.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import audit
import deeds
from actor import Actor, Wedged
from audit import Auditor, Found
from deeds import DEEDS, Deed

from labcontainer.engine import Engine
from labcontainer.kernel import process
from labcontainer.kernel.cgroup import delegation

_ALWAYS = ("client", "zygote", "monitor", "init", "all", "nobody")
_TICK = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done"


@dataclass(slots=True)
class Round:
    """One round's draws, and what became of it."""

    number: int
    deed: Deed
    actor: str
    victim: str
    fraction: float
    hit: bool = False
    faults: list[tuple[str, str]] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    code: int = 0
    open_ms: float = 0.0
    said: str = ""

    def __str__(self) -> str:
        moment = f"{self.victim} killed at {self.fraction:.3f}" if self.hit else f"{self.victim} not met"
        return f"round {self.number}: {self.deed.name} by {self.actor}, {moment}, exit status {self.code}"


def draw(seed: int, number: int) -> Round:
    """The round of that number."""
    dice = random.Random(f"{seed}/{number}")
    deed = dice.choice(DEEDS)
    victims = _ALWAYS + deed.victims * 3
    actor = dice.choice(("lab", "API")) if deed.lines else "API"
    return Round(number, deed, actor, dice.choice(victims), dice.random())


class Chaos:
    """The engine under attack, the two containers that look on, and the rounds."""

    def __init__(self, place: Path, base: str) -> None:
        self.place = place
        self.root, self.run = place / "r", place / "s"
        os.environ["LABCONTAINER_ROOT"], os.environ["LABCONTAINER_RUN"] = str(self.root), str(self.run)
        self.auditor = Auditor(self.root, self.run, set(), base)
        self.spans: dict[str, float] = {}
        self.fds: dict[str, int] = {}
        self.ticks = -1
        self.zygote_log = 0
        for name, words in (("sleeper", ["sleep", "100000"]), ("ticker", ["sh", "-c", _TICK])):
            self.must("run", "-d", "--name", name, deeds.IMAGE, *words)
            self.auditor.kept.add(audit.find(self.containers, name).name)
        self.inits = {each: self._init(each) for each in self.auditor.kept}

    @property
    def containers(self) -> Path:
        """The engine's containers on disk."""
        return self.root / "containers"

    def act(self, work: Callable[[], object]) -> Actor:
        """Have a child do `work`."""
        return Actor(work, self.place / "out")

    def lab(self, *words: str) -> tuple[int, str]:
        """Run ``lab``: its exit status and what it printed. Raises: Wedged."""
        actor = self.act(lambda: deeds.lab(words, self.place / "copied"))
        code, _ = actor.end()
        return code, actor.out.read_text(errors="replace")

    def must(self, *words: str) -> None:
        """Run ``lab``, which must succeed."""
        code, said = self.lab(*words)
        if code:
            raise RuntimeError(f"lab {' '.join(words)}: {code}: {said}")

    # -- one round

    def play(self, one: Round) -> None:
        """Play a round; what is found is in it."""
        name = f"t{one.number}"
        try:
            for words in one.deed.prepare:
                if words[0] == "KILL":
                    self._kill_role(words[1], name)
                else:
                    self.must(*deeds.named(words, name))
            self._disturb(one, name)
            self._open(one)
            self._check(one, name)
            self._check_onlookers(one)
        except Wedged as error:
            one.faults.append(("wedged", str(error)))
        shutil.rmtree(self.place / "copied", ignore_errors=True)
        self._clear(one, name)

    def _disturb(self, one: Round, name: str) -> None:
        began = time.monotonic()
        actor = self.act(lambda: self._do(one, name))
        span = self.spans.get(one.deed.name, 0.05)
        if one.victim == "client":
            time.sleep(one.fraction * span)
            one.hit = not actor.done
            self._kill([actor.pid])
        elif one.victim != "nobody":
            pids: list[int] = []
            while not pids and not actor.done:
                pids = self._victims(one.victim, name, actor.pid)
            if pids:
                time.sleep(one.fraction * span * 0.8)
                one.hit = self._kill(pids)
        one.code, _ = actor.end()
        one.said = actor.out.read_text(errors="replace")[-800:]
        if one.victim == "nobody":
            self.spans[one.deed.name] = time.monotonic() - began

    def _do(self, one: Round, name: str) -> object:
        if one.actor == "API":
            one.deed.call(Engine(self.root, self.run), name)
            return None
        code = 0
        for words in one.deed.lines:
            code = code or deeds.lab(deeds.named(words, name), self.place / "copied")
        return code

    def _victims(self, victim: str, name: str, client: int) -> list[int]:
        found = audit.processes(self.containers).values()
        if victim == "all":
            return [client, *(each.pid for each in found if each.role in ("zygote", "monitor", "session"))]
        wanted = [each for each in found if each.role == victim and each.container not in self.auditor.kept]
        if victim in ("session", "command"):  # those of an exec: of the sessions we know that they are no monitor's
            wanted = [each for each in wanted if victim == "session" or not self._is_main(each)]
        return [each.pid for each in wanted]

    def _is_main(self, each: Found) -> bool:
        return each.container != ""

    def _kill(self, pids: list[int]) -> bool:
        """Kill them and see them dead; whether any lived."""
        lived = False
        for pid in pids:
            lived = lived or audit.start_time(pid) is not None
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while any(audit.start_time(pid) is not None for pid in pids):
            audit.reap(Actor.known)
        return lived

    def _kill_role(self, role: str, name: str) -> None:
        state = json.loads((audit.find(self.containers, name) / "state.json").read_text())
        if state[role]:  # a policy's container may be between two starts
            self._kill([state[role]["pid"]])

    # -- what became of it

    def _open(self, one: Round) -> None:
        began = time.monotonic()
        mended = self.act(lambda: Engine(self.root, self.run).mended).end()[1]
        one.open_ms = (time.monotonic() - began) * 1000
        if not isinstance(mended, list):
            one.faults.append(("wedged", f"no engine could be opened: {self._said()}"))
            return
        one.mended = mended
        for line in mended:
            if lie := audit.settled(lambda line=line: self._lies(line)):  # type: ignore[misc]
                one.faults.append(("lied", f"{line!r}, but {lie[0]}"))

    def _lies(self, line: str) -> list[str]:
        audit.reap(Actor.known)
        short = line.split()[1].rstrip(":")
        now = next((audit.status(each) for each in self.containers.glob(f"{short}*")), "absent")
        wanted = {
            "looks after it now": ("running", "paused", "restarting", "exited", "absent"),
            ": removed": ("absent",),
            "started again": ("running", "restarting"),
        }
        ended = ("exited", "running", "restarting", "absent")
        states = next((states for words, states in wanted.items() if words in line), ended)
        return [] if now in states else [f"it is {now}"]

    def _said(self) -> str:
        return f"it said {(self.place / 'out').read_text(errors='replace')[-800:]!r}"

    def _check(self, one: Round, name: str) -> None:
        """The container is as its deed may have left it, and can be used."""
        allowed = self._allowed(one)

        def look() -> list[str]:
            audit.reap(Actor.known)
            now = audit.status(audit.find(self.containers, name))
            return [] if now in allowed else [now]

        if wrong := audit.settled(look):
            wished = " or ".join(sorted(allowed))
            one.faults.append(("lost", f"it is {wrong[0]}, not {wished}; mended: {one.mended}; it said {one.said!r}"))
            return
        if one.code == 99:
            one.faults.append(("crashed", one.said))
        self._use(one, name)

    def _allowed(self, one: Round) -> frozenset[str]:
        undisturbed = not one.hit or (one.code == 0 and one.victim not in ("client", "init", "all"))
        allowed = frozenset({one.deed.done}) if undisturbed else one.deed.allowed
        if one.hit and one.victim in ("init", "all"):
            allowed |= {"absent"} if "absent" in one.deed.allowed and "rm" in one.deed.name else {"exited"}
        if one.deed.done == "running" and "policy" in one.deed.name:
            allowed = frozenset({"running", "restarting"})
        return allowed

    def _use(self, one: Round, name: str) -> None:
        now = audit.status(audit.find(self.containers, name))
        if now == "paused":
            self._try(one, "", "unpause", name)
            now = "running"
        if now in ("created", "exited") and not one.deed.ends:
            self._try(one, "", "start", name)
            now = "running"
        if now == "running" and not one.deed.ends:
            self._try(one, "alive", "exec", name, "echo", "alive")
            self._try(one, name, "stop", "-t", "0", name)
            if left := audit.settled(lambda: self._not_ended(name)):
                one.faults.append(("wedged", f"stopped, it is {left[0]}"))
        self._try(one, None, "logs", name)

    def _not_ended(self, name: str) -> list[str]:
        audit.reap(Actor.known)
        now = audit.status(audit.find(self.containers, name))
        return [] if now in ("exited", "absent") else [now]

    def _try(self, one: Round, wanted: str | None, *words: str) -> None:
        code, said = self.lab(*words)
        if wanted is not None and (code or wanted not in said):
            one.faults.append(("wedged", f"lab {' '.join(words)}: {code}: {said.strip()[-500:]}"))

    def _check_onlookers(self, one: Round) -> None:
        for id, init in self.inits.items():
            if self._init(id) != init or audit.status(self.containers / id) != "running":
                one.faults.append(("lost", f"an onlooker is {audit.status(self.containers / id)}"))
        log = audit.find(self.containers, "ticker") / "log.json"
        last = self.ticks
        for line in log.read_text().splitlines():
            number = int(json.loads(line)["log"])
            if number > last + 1:
                one.faults.append(("lost", f"lines {last + 1} to {number - 1} of the ticker's log"))
            last = max(last, number)
        self.ticks = last

    def _init(self, id: str) -> object:
        return json.loads((self.containers / id / "state.json").read_text())["init"]

    def _clear(self, one: Round, name: str) -> None:
        with contextlib.suppress(Wedged):
            if audit.find(self.containers, name).exists():
                self._try(one, "", "rm", "-f", name)
        if leaks := self.auditor.leaks(Actor.known):
            one.faults += [("leaked", leak) for leak in leaks]
            self._tidy(leaks)
        held: list[str] = audit.settled(self._more_descriptors)
        one.faults += [("leaked", line) for line in held]
        log = (self.run / "zygote.log").read_text(errors="replace")
        if len(log) > self.zygote_log:
            one.faults.append(("crashed", f"zygote.log: {log[self.zygote_log :][-1200:]}"))
            self.zygote_log = len(log)

    def _more_descriptors(self) -> list[str]:
        more = []
        for each in [*audit.processes(self.containers).values(), Found(os.getpid(), 0, "driver")]:
            held = audit.descriptors(each.pid)
            key = each.role + each.container
            if each.role in ("zygote", "monitor", "driver") and held > self.fds.setdefault(key, held):
                more.append(f"descriptors of the {each.role}: {self.fds[key]}, then {held}")
        return more

    def _tidy(self, leaks: list[str]) -> None:
        """So that the next round does not find the same again."""
        for found in audit.processes(self.containers).values():
            if found.role != "zygote" and found.container not in self.auditor.kept and found.pid not in Actor.known:
                self._kill([found.pid])
        for leak in leaks:
            kind, _, what = leak.partition(": ")
            with contextlib.suppress(OSError):
                if kind == "cgroup":
                    os.rmdir(what)
                elif kind == "directory":
                    shutil.rmtree(self.containers / what)
                elif kind == "file":
                    os.unlink(what)

    def close(self) -> None:
        """End everything that we have started, and see nothing left."""
        for each in self.auditor.kept:
            self.lab("rm", "-f", each)
        Engine(self.root, self.run).close()
        while found := audit.processes(self.containers):
            self._kill(list(found))
        audit.reap(set())
        for base in audit.CGROUPS.rglob(self.auditor.base):
            with contextlib.suppress(OSError):
                if os.geteuid() == 0:
                    base.rmdir()


def report(rounds: list[Round], seed: int) -> int:
    """Print victim × verdict, and each fault; the exit status."""
    kinds = ("lost", "leaked", "wedged", "lied", "crashed")
    print(f"\n{'victim':10}{'rounds':>8}{'hit':>6}{'well':>6}{'mended':>8}" + "".join(f"{kind:>9}" for kind in kinds)
          + f"{'open ms':>9}")  # fmt: skip
    groups: dict[str, list[Round]] = defaultdict(list)
    for one in rounds:
        groups[one.victim].append(one)
    for victim, played in [*sorted(groups.items()), ("all rounds", rounds)]:
        counts = [sum(any(kind == found for found, _ in one.faults) for one in played) for kind in kinds]
        print(f"{victim:10}{len(played):8}{sum(one.hit for one in played):6}{sum(not one.faults for one in played):6}"
              f"{sum(bool(one.mended) for one in played):8}" + "".join(f"{count:9}" for count in counts)
              + f"{statistics.median(one.open_ms for one in played):9.1f}")  # fmt: skip
    faults = sum(bool(one.faults) for one in rounds)
    print(f"\n{faults} of {len(rounds)} rounds found something; seed {seed}")
    return 1 if faults else 0


def main() -> None:
    """Play the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rounds", nargs="?", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--round", type=int, help="play this round alone, after one of each deed undisturbed")
    given = parser.parse_args()
    base = f"labcontainer-chaos-{os.getpid()}" if os.geteuid() == 0 else f"{delegation.NAME}-{os.geteuid()}"
    os.environ[delegation.VARIABLE] = base
    process.become_subreaper()
    print(f"seed {given.seed}, as {'root' if os.geteuid() == 0 else 'an ordinary user'}", flush=True)
    numbers = range(1, given.rounds + 1) if given.round is None else [given.round]
    first = [Round(-index, deed, "API", "nobody", 0.0) for index, deed in enumerate(DEEDS, 1)]
    with tempfile.TemporaryDirectory(prefix="lab-chaos-", dir=os.environ.get("TMPDIR", "/tmp")) as place:
        chaos = Chaos(Path(place), base)
        rounds = []
        try:
            for one in (*first, *(draw(given.seed, number) for number in numbers)):
                chaos.play(one)
                rounds.append(one)
                for kind, text in one.faults:
                    print(f"{one}\n    {kind}: {text}", flush=True)
        finally:
            chaos.close()
    sys.exit(report(rounds, given.seed))


if __name__ == "__main__":
    main()
