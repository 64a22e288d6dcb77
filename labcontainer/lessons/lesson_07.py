"""Lesson 07, lifecycle: its questions, the orphan that it makes, and the judges of its exercises."""

from __future__ import annotations

import time
from collections.abc import Callable

from labcontainer.engine import Container, signals
from labcontainer.errors import KernelError, LabError, NotFound
from labcontainer.kernel import proc
from labcontainer.lessons.exercise import Bench, Exercise, NotYet
from labcontainer.lessons.prediction import Prediction

PREDICTIONS = {
    "created": Prediction(
        "`lab create` has made a container, and nobody has started it. How many processes does it have?",
        {"a": "One, which waits for the start", "b": "One, which is stopped", "c": "None"},
        right="c",
        because="A created container is a directory with files: what to run, under which limits, on which layers. It "
        "costs no memory, and it survives a reboot. Namespaces, mounts and a cgroup are made when it is started, "
        "because all of them exist only as long as somebody is in them.",
        wrong={
            "a": "So it is in the OCI's own words, where `create` goes up to the point before the command, and `start` "
            "lets it go. Docker's `create` writes things down and goes home.",
            "b": "Stopped is what comes *after* a process has ended, with an exit code to show for it.",
        },
    ),
    "term": Prediction(
        "A container runs `sleep 600`. You type `docker stop`, which sends SIGTERM to process 1 and gives it ten "
        "seconds. "
        "When does the container end?",
        {
            "a": "At once: SIGTERM ends `sleep`, as in any terminal",
            "b": "After ten seconds, by SIGKILL",
            "c": "After ten minutes: `sleep` finishes what it does",
        },
        right="b",
        because="Signals whose effect is only the default one are not delivered to process 1 of a PID namespace. "
        "Otherwise a stray signal could take down a whole system: init has to say, by a handler, what it "
        "wants to hear. `sleep` has none for SIGTERM. So nothing happens, the grace period runs out, and then comes "
        "the one that "
        "nobody can refuse.",
        wrong={
            "a": "In a terminal, yes. There `sleep` is not process 1.",
            "c": "SIGKILL from outside the namespace is delivered, handler or not.",
        },
    ),
    "pause": Prediction(
        "A program counts up, many times a second. You pause its container for a while, and then let it go on. What "
        "has the "
        "program noticed?",
        {
            "a": "A signal, SIGSTOP, and later SIGCONT: it could have handled them",
            "b": "Nothing, until it looks at a clock",
            "c": "It was written to disk, and has been read back",
        },
        right="b",
        because="The freezer is a switch of the cgroup: no process in it is given the CPU any more. No signal is sent "
        "that a program or its parent could see, and new children cannot escape. Memory, files and connections stay as "
        "they are; whoever talks to the program waits.",
        wrong={
            "a": "SIGSTOP is for one process, its parent hears of it, and SIGCONT from anybody undoes it. An engine "
            "wants "
            "all processes at once, and unseen.",
            "c": "That is checkpointing (CRIU). A paused container keeps all its memory.",
        },
    ),
}

_PATIENCE_S = 10.0


def orphan(container: Container) -> str:
    """Make an orphan in `container`, and say what /proc says of it once it has ended: its state, or that it is gone."""
    # The shell ends at once; its child goes on for a moment, and is then a child of process 1.
    _, output = container.exec_run(["sh", "-c", "sleep 0.2 >/dev/null & echo $!"])
    assert isinstance(output, bytes)
    states = [""]

    def ended() -> bool:
        found = [one for one in _below(container) if one["NSpid"].split()[-1] == output.decode().strip()]
        states[0] = found[0]["State"] if found else "gone: somebody has waited for it"
        return states[0][0] in "Zg"

    until(ended)
    return states[0]


def until(condition: Callable[[], object], seconds: float = _PATIENCE_S) -> bool:
    """Whether `condition` has become true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _polite(bench: Bench) -> str:
    container, wanted = _running(bench), int(bench["code"])
    number = signals.number(container.record.stop_signal)
    # A shell needs a moment until it has read its own trap.
    if not until(lambda: _hears(container, number), 2.0):
        raise NotYet(
            f"in /proc/{container.pid}/status, SigCgt and SigBlk have no bit for {container.record.stop_signal}: "
            f"process 1 "
            "has no handler, so the Linux kernel will not even deliver it. As an ordinary process it would die of it; "
            "as process 1 it does not."
        )
    container.stop(_PATIENCE_S)
    code = container.state.exit_code
    if code == 137:
        raise NotYet("it hears the signal and does not end: SIGKILL had to come. A handler must also *exit*.")
    if code == 143 != wanted:
        raise NotYet(
            "143 = 128 + 15: the command has *died* of SIGTERM, because something else is process 1 (`init=True`). "
            "That "
            f"is quick, but it has not tidied up, and {wanted} was asked for: the handler itself says `exit {wanted}`."
        )
    if code != wanted:
        raise NotYet(f"it has ended in time, with {code}; the task asks for {wanted}.")
    return f"process 1 had a handler, has used it, and has ended with {code}. No SIGKILL was needed."


def _reaper(bench: Bench) -> str:
    container = _running(bench)
    command = ["sleep", bench["seconds"]]
    if not until(lambda: any(_words(pid) == command for pid in _pids(container)), 2.0):
        raise NotYet(
            f"no process in it is called `{' '.join(command)}`: keep the command, and change who is process 1."
        )
    states = [orphan(container) for _ in range(3)]
    zombies = [state for state in states if state.startswith("Z")]
    if zombies:
        name = proc.status(container.pid)["Name"]
        raise NotYet(
            f"I have made three orphans in there, and {len(zombies)} are zombies now, children of process 1, "
            f"`{name}`. You "
            "cannot kill them; only a process 1 that calls `wait` makes them go."
        )
    return "I have made three orphans in there, and process 1 has waited for each: no zombie is left."


def _persistent(bench: Bench) -> str:
    container, times, code = _container(bench), int(bench["times"]), int(bench["code"])
    if container.status == "created":
        raise NotYet("it was created and never started. A policy acts when a container *ends*.")
    until(lambda: container.status == "exited" or container.state.restarts > times)
    now = container.state
    if now.restarts > times:
        raise NotYet(
            f"it was started again {now.restarts} times already. `always` never gives up, and neither does "
            f"`on-failure` "
            "without a count."
        )
    if now.exit_code == 0:
        raise NotYet("it has ended with 0, and `on-failure` takes that for success: nothing is to be done again.")
    if now.restarts < times:
        raise NotYet(
            f"its monitor has started it again {now.restarts} times, not {times}. Who starts it is the policy of the "
            "container, not a loop around `run`."
        )
    if now.exit_code != code:
        raise NotYet(f"the last exit code was {now.exit_code}, and should be {code}.")
    return f"it has ended with {code}, was started again {times} times by its policy, and then left alone."


EXERCISES = {
    "polite": Exercise(
        task="**Polite.** Make the container `polite` end by itself when it is asked to: `stop` sends SIGTERM, and "
        "process 1 shall end with the exit code **{code}**, without anybody needing SIGKILL.",
        hints=(
            "Who is process 1, and does it handle SIGTERM? `sleep` does not, and cannot be taught. A shell can: "
            "`trap`.",
            "`sh -c 'trap \"…\" TERM; …'`. A shell runs a trap *between* two commands: while it waits for `sleep "
            "600` in "
            "the foreground, it does not. In the background, `sleep 600 & wait`, it does.",
            'The command: `["sh", "-c", "trap \'exit {code}\' TERM; sleep 600 & wait"]`.',
        ),
        judge=_polite,
        parameters={"code": ("3", "5", "7", "9", "11", "13")},
    ),
    "reaper": Exercise(
        task="**Reaper.** In the container `reaper`, `sleep {seconds}` shall run, and whoever loses a parent in "
        "there shall not "
        "stay a zombie.",
        hints=(
            "Orphans become children of process 1. `sleep` never asks for their exit codes. Who could be process 1 "
            "instead?",
            "`docker run --init` puts a small init at number 1, with your command as its child. In Python it is a "
            "keyword.",
            '`lab.engine.containers.run("lab/base", ["sleep", "{seconds}"], detach=True, init=True)`.',
        ),
        judge=_reaper,
        parameters={"seconds": ("611", "622", "633", "644", "655", "666")},
    ),
    "persistent": Exercise(
        task="**Persistent.** Make a container whose command fails with the exit code **{code}**, which is started "
        "again "
        "**{times}** times, and then no more.",
        hints=(
            "There are four policies: `no`, `on-failure`, `always`, `unless-stopped`. Which of them can give up?",
            'Docker writes it `--restart on-failure:{times}`. In Python: `restart_policy={{"Name": "on-failure", '
            "…}}`, and the count "
            "is called `MaximumRetryCount`.",
            'The command `["sh", "-c", "exit {code}"]`, and '
            '`restart_policy={{"Name": "on-failure", "MaximumRetryCount": {times}}}`.',
        ),
        judge=_persistent,
        parameters={"code": ("21", "22", "23", "24", "25"), "times": ("2", "3", "4")},
    ),
}


def _container(bench: Bench) -> Container:
    if not isinstance(bench.subject, Container):
        raise NotYet("hand over the container that `containers.run(…, detach=True)` returns.")
    try:
        bench.subject.reload()
    except NotFound:
        raise NotYet("that container was removed: leave it there for the judge.") from None
    return bench.subject


def _running(bench: Bench) -> Container:
    container = _container(bench)
    if container.status != "running":
        raise NotYet(
            f"it is {container.status}, and has to run. `lab.engine.containers.run(…, detach=True)` makes one that "
            f"does."
        )
    return container


def _hears(container: Container, number: int) -> bool:
    """Whether process 1 handles the signal, or holds it back to wait for it itself, as an init does."""
    try:
        status = proc.status(container.pid)
    except KernelError:
        return False
    return bool((int(status["SigCgt"], 16) | int(status["SigBlk"], 16)) >> (number - 1) & 1)


def _below(container: Container) -> list[dict[str, str]]:
    """The status of each child of process 1."""
    found = []
    for pid in proc.children(container.pid):
        try:
            found.append(proc.status(pid))
        except LabError:  # it has just gone
            continue
    return found


def _pids(container: Container) -> list[int]:
    return [container.pid, *(int(status["Pid"]) for status in _below(container))]


def _words(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []
