"""Lesson 00, start here: its questions, and the judges of its exercises."""

from __future__ import annotations

from labcontainer.errors import NotFound
from labcontainer.kernel import proc
from labcontainer.lessons.exercise import Bench, Exercise, NotYet
from labcontainer.lessons.inside import look_inside
from labcontainer.lessons.prediction import Prediction
from labcontainer.lessons.visitors import Visit, visit

PREDICTIONS = {
    "proc": Prediction(
        "`/proc/self/status` is a file about the process that reads it. `ls -l` says that its size is 0 bytes. You "
        "read it. What do you get?",
        {
            "a": "Nothing: 0 bytes are 0 bytes",
            "b": "A page of text",
            "c": "An error: there is no real file of that name",
        },
        right="b",
        because="Nobody has stored that text. The Linux kernel writes it at the moment of reading, about the one who "
        "reads. That is what `/proc` is: questions to the Linux kernel, in the form of files.",
        wrong={
            "a": "So it would be with a file on a disk. What is read here does not exist until you read it.",
            "c": "It is on no disk, that is true. But whatever opens and reads like a file, is one.",
        },
    ),
    "container": Prediction(
        "You are about to start a container in which a program sleeps. You list the processes of your machine, outside "
        "of the container, with `ps`. Is the program among them?",
        {
            "a": "No: it runs in a small virtual machine, and only that knows its processes",
            "b": "No: a container isolates, so neither side sees the other",
            "c": "Yes: it is a process of my machine, like any other",
        },
        right="c",
        because="A container is a process of your own Linux kernel that is shown less of the machine than others are. "
        "It has two numbers: one inside, and one outside.",
        wrong={
            "a": "A virtual machine brings a kernel of its own. A container uses yours: this is why it starts in "
            "milliseconds.",
            "b": "It isolates in one direction. Who is inside sees less; from outside nothing is hidden.",
        },
    ),
    "group": Prediction(
        "`safe/token` is root's, and only root may read it. Mallory is an ordinary user. All she has is a group, the "
        "one that may speak to root's daemon, and the daemon does what you see above. Can she read the token?",
        {
            "a": "No: the permissions of a file hold, whichever way one comes",
            "b": "No: the daemon is told by the Linux kernel who is calling",
            "c": "Yes: the daemon reads it for her",
        },
        right="c",
        because="Permissions are checked against the process that opens the file. Here that is root's, and root may. "
        "`run` never looks at `caller`, and by default Docker does not either: who may speak to it may have anything "
        "done.",
        wrong={
            "a": "They do hold: for the process that opens the file. That is not Mallory's.",
            "b": "It could know: `caller` says it. But knowing is not asking, and `run` never asks.",
        },
    ),
    "rootless": Prediction(
        "Mallory has lost her group. Now she starts the same daemon herself, in a user namespace of her own, where she "
        "is root: user 0. She sends it the same request. What comes back?",
        {
            "a": "The token: the daemon is root",
            "b": "An error: she is not allowed to mount anything",
            "c": "An error: the mount is made, but the file may not be read",
        },
        right="c",
        because="In her own namespace she may mount what she likes: nobody else sees it. But a file's permissions are "
        "checked against who she is outside, and there she is user 61001, as before.",
        wrong={
            "a": "It is root over what belongs to its namespace. The owner of `safe` does not even exist in there.",
            "b": "Root of a user namespace may mount in there. This is why a container needs no real root.",
        },
    ),
}


def _hello(bench: Bench) -> str:
    name = proc.status(bench.child.pid)["Name"]
    if name.startswith("python"):
        raise NotYet(
            "the Linux kernel still calls it by the name of its program. A variable in Python is nothing that the "
            "Linux kernel knows of: it must be told, by a write to a file."
        )
    if name != bench["name"]:
        raise NotYet(f"the Linux kernel now calls it `{name}`, not `{bench['name']}`.")
    return f"the Linux kernel calls this process `{name}`, and so do `ps` and `top`."


def _container(bench: Bench) -> str:
    name = bench["name"]
    try:
        container = bench.lab.engine.containers.get(name)
    except NotFound:
        raise NotYet(
            f"there is no container called `{name}`. With `--rm` it is gone when its command has ended; without "
            "`--name` it gets a name that is made up."
        ) from None
    pid = container.pid
    if not pid:
        raise NotYet(
            f"`{name}` is there, but it does not run. A container lasts as long as its first process, and that has "
            f"ended: `sleep 600` would last. (Remove this one first: `%lab rm {name}`.)"
        )
    seen = look_inside(pid).hostname
    if seen != bench["hostname"]:
        raise NotYet(
            f"`{name}` runs, but in there the machine is called `{seen}`. The container's name is known to the engine, "
            f"the host name to the Linux kernel: these are two. (Remove this one first: `%lab rm -f {name}`.)"
        )
    return f"`{name}` is process {pid} of your machine, and process 1 of a machine called `{seen}`."


def _guard(bench: Bench) -> str:
    keeper, user = bench.child, int(bench["user"])
    stranger = user + 30
    door = bench.lab.directory / "guard.sock"
    if not door.is_socket():
        raise NotYet("there is no socket `guard.sock`: the last line of the cell makes it.")
    wanted, other, liar, namesake, root = visit(
        keeper.pid,
        door,
        [Visit(user), Visit(stranger), Visit(stranger, path=f"/?user={user}"), Visit(stranger, gid=user), Visit(0)],
    )
    if not wanted.startswith("HTTP"):
        raise NotYet(
            f"user {user} does not get as far as your daemon: {wanted}. Leave the door open; the daemon has to decide."
        )
    if not _served(wanted):
        raise NotYet(
            f"user {user} was turned away: {wanted.splitlines()[0]}. (`caller.uid` is a number, and a text is never "
            "equal to a number.)"
        )
    if _served(other):
        raise NotYet(
            f"user {stranger} was served, too. Everybody may come through this door (its mode is 666), so your daemon "
            "itself must look at who is calling."
        )
    if _served(liar):
        raise NotYet(
            f"user {stranger} was served for saying to be user {user}. A caller can say anything: ask the Linux kernel."
        )
    if _served(namesake):
        raise NotYet(
            f"user {stranger} was served, because a group of that user has the number {user}. Users and groups are "
            "counted apart: look at `caller.uid`."
        )
    if _served(root):
        raise NotYet("root was served. Root comes through every door, so your daemon must refuse even user 0.")
    return (
        f"user {user} is served. User {stranger} is not, whatever it claims, and not even root is. No permission of a "
        "file can do that: root is past them all."
    )


def _served(reply: str) -> bool:
    return reply.startswith("HTTP/1.0 200")


EXERCISES = {
    "hello": Exercise(
        task="**Hello.** The Linux kernel has a name for each process. Give the process of this cell the name "
        "`{name}`.",
        hints=(
            "You have seen that the Linux kernel answers questions by files in `/proc`. Some of them can be written, "
            "too.",
            "The file is `/proc/self/comm`. Open it for writing, as you would open any file.",
            '`open("/proc/self/comm", "w").write("{name}")`',
        ),
        judge=_hello,
        parameters={"name": ("badger", "beaver", "falcon", "lynx", "otter", "raven")},
    ),
    "container": Exercise(
        task="**Container.** Leave a container running that is called `{name}`, on a machine that is called "
        "`{hostname}`. Its image is `lab/base`.",
        hints=(
            "`%lab run --help` lists the options. You need three: one for each of the two names, and one that leaves "
            "the container running while you go on.",
            "The options are `-d`, `--name` and `--hostname`; they stand before the image. The command must last: "
            "`sleep 600`. (If your cell does not end, you have left out `-d`: interrupt it with the button ■.)",
            "`%lab run -d --name {name} --hostname {hostname} lab/base sleep 600`",
        ),
        judge=_container,
        parameters={
            "name": ("apple", "cherry", "lemon", "melon", "peach", "plum"),
            "hostname": ("delta", "fjord", "lagoon", "oasis", "tundra", "volcano"),
        },
    ),
    "guard": Exercise(
        task="**Guard.** Everybody may come through the door of this daemon. Let it serve user {user}, and nobody "
        "else: the others get a `PermissionError`, and with it the status 403.",
        hints=(
            "`answer` is given two things: what was asked for, and who has asked. The first comes from the caller, the "
            "second from the Linux kernel. On which can you rely?",
            "`caller` has a `pid`, a `uid` and a `gid`; the number of the user is `caller.uid`. What is refused is "
            'refused by `raise PermissionError("…")`.',
            'Before the `return`: `if caller.uid != {user}:` and below it `raise PermissionError("not for you")`.',
        ),
        judge=_guard,
        parameters={"user": ("61011", "61013", "61017", "61019", "61023", "61029")},
    ),
}
