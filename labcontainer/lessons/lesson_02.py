"""Lesson 02, a container is a process: its questions, and the judges of its exercises."""

from __future__ import annotations

import contextlib
import os

from labcontainer.kernel import namespaces, proc
from labcontainer.lessons.exercise import Bench, Exercise, NotYet
from labcontainer.lessons.inside import look_inside
from labcontainer.lessons.prediction import Prediction

PREDICTIONS = {
    "uts": Prediction(
        "A process leaves the host's UTS namespace for a new one, and sets the host name to `boxy`. You then type "
        "`hostname` in a terminal of your machine. What is printed?",
        {
            "a": "`boxy`: a machine has one name, and it was changed",
            "b": "The old name: the change is seen by those who share the namespace, and nobody else does",
            "c": "An error: only the machine's administrator can set its name",
        },
        right="b",
        because="The host name is kept once for each UTS namespace, not once for each machine. Run the next cell: the "
        "Linux kernel is the witness.",
        wrong={
            "a": "There is no such thing as the machine's name. There is a name in each UTS namespace.",
            "c": "It needs the capability CAP_SYS_ADMIN in the user namespace that owns the UTS namespace. In a user "
            "namespace of your own you have it.",
        },
    ),
    "pid": Prediction(
        "A process with the number 4711 calls `unshare(CLONE_NEWPID)`, and then `getpid()`. What does it get?",
        {
            "a": "1: it is the first process in its new namespace",
            "b": "4711: nothing has happened to its own number",
            "c": "0: it has no number until it is given one",
        },
        right="b",
        because="A process keeps the number that it was born with, because programs rely on `getpid()` staying the "
        "same. `unshare` decides where its next *children* are born: the first of them is number 1.",
        wrong={
            "a": "Nearly: number 1 is the first child that is born there.",
            "c": "0 is what `getppid()` says of a parent that stands outside of the namespace.",
        },
    ),
    "init": Prediction(
        "In a PID namespace live process 1 and process 2. Somebody kills process 1. What becomes of process 2?",
        {
            "a": "It goes on, and process 1 of the host becomes its parent",
            "b": "It goes on, and becomes process 1",
            "c": "It is killed, too",
        },
        right="c",
        because="Process 1 is the init of its namespace, and the namespace does not outlive it: the Linux kernel kills "
        "whoever is left. This is why a container ends when its main process does.",
        wrong={
            "a": "So it is with an ordinary parent. But process 1 is what holds a PID namespace up.",
            "b": "Numbers are never passed on.",
        },
    ),
}


def _visitor(bench: Bench) -> str:
    pid = bench.child.pid
    uts = namespaces.inode(pid, "uts")
    if uts == namespaces.inode("self", "uts"):
        raise NotYet(
            "`visitor` is in the host's UTS namespace. Opening the file under `/proc` is only the door: "
            "`setns` walks through it."
        )
    if _alone_in(uts, pid):
        raise NotYet(
            "`visitor` is in a UTS namespace that nobody else is in. `unshare` makes a new one; to enter the one that "
            "`box` is in, you need `setns`."
        )
    for name in ("pid", "mnt", "net", "ipc"):
        if namespaces.inode(pid, name) != namespaces.inode("self", name):
            raise NotYet(f"`visitor` has left the host's {name} namespace as well, and that was not asked for.")
    seen = look_inside(pid).hostname
    if seen != bench["hostname"]:
        raise NotYet(f"you are in, and the name there is `{seen}`, not `{bench['hostname']}`: now `sethostname`.")
    return f"`visitor` and `box` are in one UTS namespace, and in there the machine is called `{seen}`."


def _alone(bench: Bench) -> str:
    init = _init_below(bench.child.pid)
    seen = look_inside(init)
    others = [each for each in seen.processes if each.pid != 1]
    if namespaces.inode(init, "mnt") == namespaces.inode("self", "mnt"):
        raise NotYet(
            "your process 1 shares the host's mounts, so it shares the host's `/proc`. It needs a mount namespace of "
            "its own, and a `/proc` of its own in there."
        )
    if others:
        raise NotYet(
            f"your process 1 still finds {len(others)} others under `/proc`. That `/proc` was mounted in the host's "
            "PID namespace, and shows it for ever: mount a new one, from inside, after the fork."
        )
    if namespaces.inode(init, "uts") == namespaces.inode("self", "uts"):
        raise NotYet("process 1 is alone, but it still shares the host's name: what about a UTS namespace?")
    if seen.hostname != bench["hostname"]:
        raise NotYet(f"its host name is `{seen.hostname}`, and should be `{bench['hostname']}`.")
    return f"process 1 of `{seen.hostname}` sees itself and nobody else. That is a container, but for its files."


EXERCISES = {
    "visitor": Exercise(
        task="**Visitor.** Let the process of this cell walk into the UTS namespace of `box`, and there change the "
        "host name to `{hostname}`. All its other namespaces stay the host's (but for the user namespace, through "
        "which one must go).",
        hints=(
            "A namespace is joined with `namespaces.setns(fd)`, and `fd` is an open `/proc/PID/ns/NAME`. `box.pid` "
            "is the PID.",
            "Two doors, in this order: `user`, then `uts`. In the user namespace you become root, and only root may "
            "pass the second. Open both before you go through the first.",
            "After `for door in doors: namespaces.setns(door)` one line is left: "
            '`namespaces.sethostname("{hostname}")`.',
        ),
        judge=_visitor,
        parameters={"hostname": ("fern", "moss", "reed", "sage", "thyme", "willow")},
    ),
    "alone": Exercise(
        task="**Alone.** Make a process that is number 1, finds nobody but itself in `/proc`, and is on a machine "
        "called `{hostname}`.",
        hints=(
            "Three namespaces are needed: `CLONE_NEWPID`, `CLONE_NEWNS` and `CLONE_NEWUTS`. One `unshare` can make "
            "them all, with `|` between the flags.",
            "`unshare` does not move the caller into the PID namespace: its first child is process 1. So "
            "`os.fork()`, and go on in the child, where it returns 0. What reaches the end of this cell stays alive, "
            "by `--keep`.",
            'In the child: `mount.mount("proc", "/proc", "proc")`. The name can be set by either, because the child '
            'inherits the UTS namespace: `namespaces.sethostname("{hostname}")`.',
        ),
        judge=_alone,
        parameters={"hostname": ("alder", "birch", "cedar", "hazel", "maple", "rowan")},
        patience_s=1.0,
    ),
}


def _alone_in(uts: int, pid: int) -> bool:
    """Whether no process but `pid` is in the UTS namespace `uts`, as far as we may look."""
    others = (other for other in os.listdir("/proc") if other.isdigit() and int(other) != pid)
    return not any(_uts(other) == uts for other in others)


def _uts(pid: str) -> int | None:
    with contextlib.suppress(OSError):  # it has ended, or belongs to somebody else
        return namespaces.inode(pid, "uts")
    return None


def _init_below(pid: int) -> int:
    """The host's number of the process that is number 1 of a PID namespace made by `pid`. Raises: NotYet."""
    if os.readlink(f"/proc/{pid}/ns/pid_for_children") == os.readlink("/proc/self/ns/pid"):
        raise NotYet(
            "there is no new PID namespace: the children of your process would be born among the host's processes. "
            "`unshare(CLONE_NEWPID)` changes where they are born."
        )
    for child in proc.children(pid):
        # NSpid: 4712  1    its numbers, from our namespace inwards
        if proc.status(child)["NSpid"].split()[-1] == "1" and proc.status(child)["State"][0] != "Z":
            return child
    raise NotYet(
        "the PID namespace is made, but nobody lives in it. The caller of `unshare` keeps its old number; its first "
        "child becomes number 1, and must be alive now."
    )
