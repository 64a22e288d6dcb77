"""Lesson 04, layers: its predictions, and its exercises with the judges that look into the upperdir."""

from __future__ import annotations

import os
from pathlib import Path

from labcontainer.kernel import overlay
from labcontainer.lessons.exercise import Bench, Exercise, NotYet
from labcontainer.lessons.prediction import Prediction

_FILES = ("issue", "hosts", "fstab")


def _judge_copy_up(bench: Bench) -> str:
    place, name = bench.lab.directory, bench["file"]
    lower, upper = place / "base" / name, place / "upper" / name
    if lower.read_text() != original(name):
        raise NotYet("base/ has changed: a layer is read-only because nobody writes to it. Change the file in merged/.")
    if not upper.exists():
        raise NotYet("upper/ has no such file: nothing was changed through merged/. Reading does not copy a file up.")
    if not upper.is_file():
        raise NotYet("upper/ has a whiteout of that name: the file was deleted in merged/, not changed.")
    if not any(mark.endswith(".overlay.origin") for mark in os.listxattr(upper)):
        raise NotYet(
            f"upper/{name} is a new file, not a copy: the old one was deleted first, or this one came past the "
            f"overlay. Open `merged/{name}` for appending."
        )
    if upper.read_text() == original(name):
        raise NotYet(f"upper/{name} was copied up, but it says what base/{name} says: now write something.")
    return f"upper/{name} is a whole copy with your change, and base/{name} is as it was: that is copy-up."


def _judge_whiteout(bench: Bench) -> str:
    place, name = bench.lab.directory, bench["file"]
    forged: Path = place / "forged" / name
    if not (place / "base" / name).exists():
        raise NotYet("base/ has lost the file itself. A whiteout hides a lower file, it does not delete it.")
    if not forged.parent.is_dir() or not (forged.exists() or forged.is_symlink()):
        raise NotYet("forged/ holds nothing of that name yet. A deletion is something that is *added* to a layer.")
    if not overlay.is_whiteout(forged.lstat()):
        raise NotYet("forged/ has a file of that name, but no whiteout: the overlay looks for a character device 0:0.")
    return f"forged/{name} is a character device 0:0: a layer that says “{name} is gone”, made without any overlay."


def original(name: str) -> str:
    """What the bench writes into base/`name`, and what it must hold at the end."""
    return f"{name} of the base layer\n"


PREDICTIONS = {
    "stack": Prediction(
        "Both layers have a `motd`. Which one will `merged/motd` show?",
        {"a": "base's, it was there first", "b": "app's, it is stacked on top", "c": "both, one after the other"},
        right="b",
        because="The overlay looks for a name from the top layer down and stops at the first that has it. "
        "Directories are merged; files never are.",
        wrong={
            "a": "It is still there, and hidden by the one above.",
            "c": "Lines of two files are merged by tools like git. The overlay merges *lists of names*.",
        },
    ),
    "copy-up": Prediction(
        "You append one byte to `merged/big`, a file of 8 MiB in a lower layer. How much does `upper/` grow?",
        {"a": "by one byte", "b": "by one page, 4 KiB", "c": "by the whole file"},
        right="c",
        because="The overlay knows files, not blocks. When a lower file is opened for writing, the whole of it is "
        "copied up first; from then on the copy is the file. (btrfs and XFS let the copy share blocks with the "
        "original. Its size is the same.)",
        wrong={
            "a": "The layer below cannot hold the rest of a file: `upper/` must be readable on its own.",
            "b": "So it is with memory after a fork. An overlay does not see pages.",
        },
    ),
    "whiteout": Prediction(
        "`merged/motd` was deleted. It lives in layers that nobody may change. What does `upper/` hold afterwards?",
        {
            "a": "Nothing: the file is gone from `app`, where it was",
            "b": "An empty file `motd`",
            "c": "A device file `motd`",
            "d": "A file `.wh.motd`",
        },
        right="c",
        because="Without a mark in `upper/` the lower file would show through again. The mark is a *whiteout*: "
        "a character device with the numbers 0:0, of the same name.",
        wrong={
            "a": "Then it would be gone for all other containers as well: they stand on the same layer.",
            "b": "An empty file would be a file: `ls` would show it. A deleted name must not be listed at all.",
            "d": "So it is spelt in an image's archive, which can be unpacked by anybody. Unpacked, it becomes what "
            "the overlay wants.",
        },
    ),
    "rename": Prediction(
        "The directory `usr` lies in a lower layer, with files in it. A program in the container calls "
        '`rename("usr", "opt")`. What happens?',
        {
            "a": "It has the new name at once, as in any file system",
            "b": "All that is in it is copied up, and the copy gets the new name",
            "c": "The Linux kernel refuses",
        },
        right="c",
        because="A `rename` is one step, and the copying of a tree is not. So the overlay says EXDEV, as it is said "
        "between two file systems, and `mv` does what it always does then: it copies file by file, and deletes. (An "
        "overlay with the option `redirect_dir=on` does rename, and notes in `upper/` where to look for the rest.)",
        wrong={
            "a": "The old name stands in a layer that must not change.",
            "b": "For a file it is so. A directory could hold a million of them, and all must happen at once.",
        },
    ),
}

EXERCISES = {
    "change": Exercise(
        task="**Change.** Mount the overlay of `base` and `upper` again, and change `merged/{file}`, so that the "
        "change lands in `upper/{file}` while `base/{file}` stays as it is.",
        hints=(
            "Which of the four directories may you write to, if the change is to go through the overlay?",
            "Look at the cell of the first mount: `unshare`, then `Overlay(…).mount(…)`. After that, open "
            "`merged/{file}` for appending.",
            'After the mount: `with open("merged/{file}", "a") as file: file.write("mine\\n")`.',
        ),
        judge=_judge_copy_up,
        parameters={"file": _FILES},
    ),
    "forge": Exercise(
        task="**Forge.** Make a layer by hand, in the directory `forged`, that deletes `{file}` for all who stack it "
        "on `base`. One line is enough.",
        hints=(
            "What did the overlay leave in `upper/` when `motd` was deleted? Look at its type and numbers.",
            "`os.mknod(path, mode, device)` makes device nodes. Everybody may make the one that has the numbers 0:0.",
            '`os.mknod("forged/{file}", stat.S_IFCHR, os.makedev(0, 0))`',
        ),
        judge=_judge_whiteout,
        parameters={"file": _FILES},
    ),
}
