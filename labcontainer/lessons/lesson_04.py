"""Lesson 04, layers: its predictions, and its exercises with the judges that look into the upperdir."""

from __future__ import annotations

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
        wrong={"c": "Lines of two files are merged by tools like git. The overlay merges *lists of names*."},
    ),
    "copy-up": Prediction(
        "You append one byte to `merged/big`, a file of 8 MiB in a lower layer. How much does `upper/` grow?",
        {"a": "by one byte", "b": "by one page, 4 KiB", "c": "by the whole file"},
        right="c",
        because="The overlay knows files, not blocks. The first write copies the whole file up; from then on the copy "
        "is the file.",
        wrong={"a": "The layer below cannot hold the rest of a file: `upper/` must be readable on its own."},
    ),
    "whiteout": Prediction(
        "You delete `merged/motd`. It lives in a layer that nobody may change. What does `upper/` hold afterwards?",
        {"a": "nothing", "b": "something that says “gone”", "c": "an empty file motd"},
        right="b",
        because="Without a mark in `upper/` the lower file would show through again. The mark is a *whiteout*: "
        "a character device with the numbers 0:0, of the same name.",
        wrong={"c": "An empty file would be a file: `ls` would show it. A deleted name must not be listed at all."},
    ),
}

EXERCISES = {
    "change": Exercise(
        task="Mount the overlay of `base` and `upper` again in a child, and change `merged/{file}`, "
        "so that the change lands in `upper/{file}` while `base/{file}` stays as it is.",
        hints=(
            "Which of the four directories may you write to, if the change is to go through the overlay?",
            "Begin with the `%%child` cell of the first mount. Then open `merged/{file}` for appending.",
            'After `Overlay(…).mount(…)`: `with open(place / "merged" / "{file}", "a") as f: f.write("mine\\n")`.',
        ),
        judge=_judge_copy_up,
        parameters={"file": _FILES},
    ),
    "forge": Exercise(
        task="Make a layer by hand, in the directory `forged`, that deletes `{file}` for all who stack it on `base`. "
        "No mount is needed.",
        hints=(
            "What did the overlay leave in `upper/` when `motd` was deleted? Look at its type and numbers.",
            "`os.mknod(path, mode, device)` makes device nodes. Everybody may make the one that has the numbers 0:0.",
            '`os.mknod(lab.directory / "forged" / "{file}", stat.S_IFCHR, os.makedev(0, 0))`',
        ),
        judge=_judge_whiteout,
        parameters={"file": _FILES},
    ),
}
