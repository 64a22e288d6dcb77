"""Lesson 09, CPU, pids and I/O: its questions, and the judges that read a container's cgroup."""

from __future__ import annotations

from collections.abc import Callable

from labcontainer.engine import Container
from labcontainer.errors import NotFound
from labcontainer.lessons.cgroup_files import counted
from labcontainer.lessons.exercise import Bench, Exercise, NotYet
from labcontainer.lessons.prediction import Prediction

_USUAL_PERIOD_USEC = 100_000
_PATIENCE_S = 8

PREDICTIONS = {
    "weight": Prediction(
        "`heavy` has a weight of 1024, `light` one of 256. Then `heavy` is paused, and `light` is alone. How much may "
        "`light` use now?",
        {
            "a": "A quarter of the CPUs: 256 of 1024",
            "b": "A fifth: 256 of 1280",
            "c": "All that nobody else wants",
        },
        right="c",
        because="A weight is compared with the weights of those who wait at this moment. As long as `heavy` worked, it "
        "was four to one. Who is alone is compared with nobody.",
        wrong={
            "a": "1024 is not the whole. It is only what others have.",
            "b": "That was right while both worked. A weight reserves nothing for somebody who does not work.",
        },
    ),
    "quota": Prediction(
        "A program that never rests runs with `--cpus 0.25`. How does it get its quarter of a CPU?",
        {
            "a": "Evenly: it runs all the time, at a quarter of the speed",
            "b": "It runs for 25 ms, and stands still for 75",
            "c": "It runs for one second in four",
        },
        right="b",
        because="A CPU has no slow gear. Within each period of 100 ms it may run until its 25 ms are used up, and then "
        "it waits for the next.",
        wrong={
            "a": "A CPU runs at its own speed, or it runs somebody else.",
            "c": "The idea is right. The period is shorter: 100 ms, unless you say otherwise (`--cpu-period`).",
        },
    ),
    "count": Prediction(
        "In a container with `--cpus 0.25`, Python is asked for `os.cpu_count()`. What does it say?",
        {"a": "1: less than one CPU cannot be", "b": "As many as the machine has", "c": "0.25"},
        right="b",
        because="A quota takes no CPU away. The program may run on each of them, and on all at once; only not for "
        "long.",
        wrong={
            "a": "That would be sensible, and some languages have begun to reckon so. The Linux kernel says what is "
            "there.",
            "c": "It is a count of CPUs, and they come in whole numbers.",
        },
    ),
    "bomb": Prediction(
        "A fork bomb goes off in a container with `--pids-limit 32`. What happens?",
        {
            "a": "The container is killed, as it is for want of memory",
            "b": "There are 32 processes, and the next `fork` fails",
            "c": "The oldest processes are ended to make room",
        },
        right="b",
        because="Nothing has to be taken from anybody: a process that does not exist yet is simply not made. That is "
        "why there is no killer for processes, as there is one for memory.",
        wrong={
            "a": "Memory has been promised before it is short. With `fork`, the Linux kernel can say no in time.",
            "c": "Nobody is ended for others.",
        },
    ),
}


def _container(bench: Bench) -> Container:
    """The student's container, running. Raises: NotYet."""
    name = bench["name"]
    try:
        container = bench.lab.engine.containers.get(name)
    except NotFound:
        raise NotYet(f"there is no container called `{name}`.") from None
    if not container.pid:
        raise NotYet(
            f"`{name}` does not run: a container ends with its process 1. (Remove this one first: `%lab rm {name}`.)"
        )
    return container


def _comes(bench: Bench, state: Callable[[], bool]) -> bool:
    """Whether `state` comes about soon: what was just started needs a moment to meet its limit."""
    try:
        bench.lab.until(state, _PATIENCE_S)
    except TimeoutError:
        return False
    return True


def _quota(bench: Bench) -> str:
    container, wanted = _container(bench), float(bench["cpus"])
    group = counted(container)
    limits = group.limits()
    quota, period = limits.cpu_quota_usec, limits.cpu_period_usec or _USUAL_PERIOD_USEC
    if quota in (-1, None):
        weighed = limits.cpu_shares not in (1024, None)
        reason = "It has another weight, but that holds only in a queue." if weighed else "It can use all that is free."
        raise NotYet(f"`{container.name}` has no quota. {reason}")
    if abs((quota or 0) / period - wanted) > 0.01:
        raise NotYet(f"its quota is {(quota or 0) / period:g} CPUs, not {wanted:g}.")
    if not _comes(bench, lambda: group.events().throttled > 0):
        raise NotYet(
            "it was never cut short so far: who sleeps does not meet a quota. Let it work "
            "without a rest: `while :; do :; done` in a shell."
        )
    used = group.usage()
    return f"it was cut short in {used.cpu_throttled} of {used.cpu_periods} periods, and has had its {wanted:g} CPUs."


def _fence(bench: Bench) -> str:
    container, wanted = _container(bench), int(bench["pids"])
    group = counted(container)
    found = group.limits().pids_max
    if found != wanted:
        told = "no limit" if found in (-1, None) else f"a limit of {found}"
        raise NotYet(f"`{container.name}` has {told} of processes, not {wanted}.")
    if not _comes(bench, lambda: group.events().pids_max > 0):
        raise NotYet(
            f"the limit was never met: {group.usage().pids} of {wanted} processes are in use. The Linux kernel counts "
            "the forks that it refuses, so somebody in there has to want one too many."
        )
    refused, living = group.events().pids_max, group.usage().pids
    return f"{refused} forks were refused, {living} processes live, and your machine has not noticed."


EXERCISES = {
    "quota": Exercise(
        task="**Quota.** Leave a container running that is called `{name}`, and that would use a whole CPU if it were "
        "not held at {cpus} CPUs: the Linux kernel must have stopped it at least once.",
        hints=(
            "A weight does not stop anybody. And a program that sleeps is never stopped either.",
            "`--cpus` sets the quota. `sh -c 'while :; do :; done'` never rests.",
            '`%lab run -d --name {name} --cpus {cpus} lab/base sh -c "while :; do :; done"`',
        ),
        judge=_quota,
        parameters={"name": ("brake", "bridle", "curb", "damper", "rein"), "cpus": ("0.15", "0.2", "0.3", "0.35")},
    ),
    "fence": Exercise(
        task="**Fence.** Leave a container running that is called `{name}` and may have {pids} processes, in which the "
        "Linux kernel has refused at least one more.",
        hints=(
            "`--pids-limit` is the fence. Then somebody in there has to start more than that.",
            "A shell can start others in the background, `sleep 600 &`, in a loop. But where it cannot fork, it gives "
            "up: if it is process 1, that is the container's end. `%lab exec -d` starts another.",
            "`%lab run -d --name {name} --pids-limit {pids} lab/base sleep 600`, and then "
            '`%lab exec -d {name} sh -c "for i in $(seq 60); do sleep 600 & done"`',
        ),
        judge=_fence,
        parameters={"name": ("fold", "hedge", "paddock", "pale", "wall"), "pids": ("12", "18", "24", "30")},
    ),
}
