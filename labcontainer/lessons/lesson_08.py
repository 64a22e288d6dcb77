"""Lesson 08, memory: its questions, and the judges that read a container's cgroup."""

from __future__ import annotations

from labcontainer.engine import Container
from labcontainer.errors import NotFound
from labcontainer.lessons.cgroup_files import counted
from labcontainer.lessons.exercise import Bench, Exercise, NotYet
from labcontainer.lessons.prediction import Prediction
from labcontainer.widgets.dashboard_charts import parts

MIB = 1 << 20
_MOST_ANONYMOUS = 8 * MIB

PREDICTIONS = {
    "meminfo": Prediction(
        "In a container with a limit of 64 MiB, a program reads `MemTotal` in `/proc/meminfo`. What does it find?",
        {"a": "64 MiB", "b": "All the memory of the machine", "c": "Nothing: a container must not know that"},
        right="b",
        because="`/proc/meminfo` is about the machine, and no namespace has a memory of its own. The limit stands in "
        "the cgroup, and takes effect whether or not the program knows of it.",
        wrong={
            "a": "That would be fair. A few engines put a forged file over `/proc/meminfo` for it (lxcfs); the Linux "
            "kernel does not.",
            "c": "`/proc/meminfo` is no secret: whoever may read `/proc` may read it.",
        },
    ),
    "promise": Prediction(
        "In a container with a limit of 64 MiB, a program asks the Linux kernel for 1 GiB. What does it get?",
        {
            "a": "An error: there is not so much (in Python, a `MemoryError`)",
            "b": "1 GiB, at once",
            "c": "SIGKILL, at once",
        },
        right="b",
        because="Memory is handed out when it is *used*, page by page. What a program asks for is noted, and that is "
        "all: a cgroup counts pages, not promises. What becomes of the promise, you will see now.",
        wrong={
            "a": "An error is how a machine answers that keeps strict accounts (`vm.overcommit_memory=2`), or an "
            "`ulimit -v`. A cgroup has no say when memory is asked for.",
            "c": "Not yet: so far, not one page is in use.",
        },
    ),
    "victim": Prediction(
        "Process 1 holds little and wants 24 MiB more. The big one holds 24 MiB, the modest one 16, with an "
        "`oom_score_adj` of 800. There is no room. Who is killed?",
        {"a": "Process 1: it has asked", "b": "The big one: it holds most", "c": "The modest one"},
        right="c",
        because="Points are memory held, in thousandths of the limit, plus `oom_score_adj`: some 400 for the big one, "
        "and for the modest one some 350 + 800. Who has asked plays no part in it.",
        wrong={
            "a": "Who asks only has the bad luck to be the one at whose turn it does not fit. It is not punished.",
            "b": "By size alone it would be. But `oom_score_adj` counts in thousandths of the limit: 800 is as much as "
            "51 MiB.",
        },
    ),
    "cache": Prediction(
        "A container with 32 MiB reads a file of 96 MiB. The page cache is charged to it. What happens?",
        {
            "a": "It is killed, as soon as 32 MiB are full",
            "b": "Its memory fills up, and it reads on",
            "c": "Nothing: what is in the page cache does not count",
        },
        right="b",
        because="The copy of a file can be given up at any time, for it can be read again. So at the limit the oldest "
        "pages go, and the next come. Killing is what remains when nothing can be taken back.",
        wrong={
            "a": "The limit is met, again and again. But there is something that can be taken back.",
            "c": "It counts, and it must: else a container could fill the whole machine with its cache.",
        },
    ),
}


def _container(bench: Bench) -> Container:
    """The student's container, running and with the right limit. Raises: NotYet."""
    name, limit = bench["name"], int(bench["limit"])
    try:
        container = bench.lab.engine.containers.get(name)
    except NotFound:
        raise NotYet(
            f"there is no container called `{name}`. With `--rm` it is gone when its first process has ended."
        ) from None
    if not container.pid:
        state = container.state
        reason = "the Linux kernel killed it for want of memory" if state.oom_killed else "its first process has ended"
        raise NotYet(
            f"`{name}` does not run: {reason}. A container lasts as long as its process 1: let that be one which "
            f"needs nothing, `sleep 600`. (Remove this one first: `%lab rm {name}`.)"
        )
    found = counted(container).limits().memory_bytes
    if found != limit * MIB:
        told = "no limit" if found in (-1, None) else f"a limit of {(found or 0) / MIB:g} MiB"
        raise NotYet(f"`{name}` runs with {told}, not {limit} MiB: `%lab update -m {limit}m {name}` changes that.")
    return container


def _cache(bench: Bench) -> str:
    used = counted(_container(bench)).usage()
    found, wanted = parts(used), int(bench["limit"]) * MIB // 2
    if found.kept > _MOST_ANONYMOUS:
        raise NotYet(
            f"{found.kept / MIB:.0f} MiB of it are anonymous or shared memory. That is what programs hold (and what "
            "`/dev/shm` and other file systems in memory hold), not a copy of a file on a disk."
        )
    if found.cache < wanted:
        raise NotYet(
            f"{found.cache / MIB:.0f} MiB of page cache are charged to it. Cache is charged to the cgroup that reads a "
            "page *first*: what is in memory already costs nobody anything. Read a file that nobody has read, or write "
            "a new one."
        )
    return (
        f"{found.cache / MIB:.0f} MiB of page cache, and {found.kept / MIB:.1f} MiB that could not be given up. It "
        "looks full, and needs next to nothing."
    )


def _survivor(bench: Bench) -> str:
    container = _container(bench)
    events = counted(container).events()
    if not events.oom_kill:
        met = "The limit was met, but there was cache or swap to take instead." if events.memory_max else ""
        raise NotYet(
            f"nobody was killed in there so far. {met} To ask for memory is not to use it: what is asked for must be "
            "written to, and be more than the limit (and swap must not come to the rescue: `--memory-swap`)."
        )
    return (
        f"the cgroup counts {events.oom_kill} killed, and process 1 is alive: a container can lose a part of itself, "
        "and its status still says `running`."
    )


EXERCISES = {
    "cache": Exercise(
        task="**Cache.** Leave a container running that is called `{name}` and has a memory limit of {limit} MiB, of "
        "which at least half is filled with page cache. At most 8 MiB may be anonymous.",
        hints=(
            "Page cache comes from reading files, and from writing them. So you need a container that goes on, and in "
            "it a command that reads or writes a large file and ends.",
            "`dd if=/dev/zero of=/file bs=1M count=200` writes a new file of 200 MiB; `sleep 600` holds almost no "
            "memory. The first by `%lab exec`, the second by `%lab run -d`.",
            "`%lab run -d --name {name} -m {limit}m lab/base sleep 600`, and then "
            "`%lab exec {name} dd if=/dev/zero of=/file bs=1M count=200`",
        ),
        judge=_cache,
        parameters={"name": ("attic", "barn", "cellar", "loft", "pantry", "shed"), "limit": ("40", "48", "56", "72")},
    ),
    "survivor": Exercise(
        task="**Survivor.** Leave a container running that is called `{name}` and has a memory limit of {limit} MiB, "
        "in which the Linux kernel has killed a process for want of memory.",
        hints=(
            "A container ends with its process 1. So the one that is killed must be another.",
            "`%lab exec` starts one more process in a container. Let process 1 be `sleep 600`, and the other one a "
            "Python that uses more than the limit. Swap would save it: `--memory-swap`.",
            "`%lab run -d --name {name} -m {limit}m --memory-swap {limit}m lab/python sleep 600`, and then "
            "`%lab exec {name} python3 -c \"b'x' * (300 << 20)\"`",
        ),
        judge=_survivor,
        parameters={"name": ("cactus", "camel", "lichen", "tardigrade", "thistle"), "limit": ("36", "44", "52", "60")},
    ),
}
