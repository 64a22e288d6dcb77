"""A lesson's bench: an engine root of its own, which clears itself away, and the lesson's questions and exercises.

    >>> lab = Lab("02")
    >>> lab.engine.containers.run("lab/base", "hostname", hostname="hello")
    b'hello\\n'
    >>> lab.reset()                                          # a clean bench again

    /var/lib/labcontainer/lessons/02-x7k2/
        images/ layers/ containers/                          the engine's
        bench/                                               lab.directory, for the lesson's own files

$LABCONTAINER_ROOT and $LABCONTAINER_RUN point there as long as the lab is open, so that ``%lab``, ``!lab`` and
``labcontainer.from_env()`` all meet the same engine. A `janitor` process clears it away, however the notebook kernel
ends.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from labcontainer.errors import HostError, InitError, KernelError, LabError, NotFound
from labcontainer.lessons import janitor, student
from labcontainer.lessons.child import Child
from labcontainer.lessons.exercise import Bench, Exercise, Sheet, Verdict, judged
from labcontainer.lessons.prediction import Prediction

if TYPE_CHECKING:
    from labcontainer.engine import Engine

_LESSONS = "lessons"
_EMPTY = """
import pathlib, sys
from labcontainer.lessons import janitor
janitor.empty(pathlib.Path(sys.argv[1]))
"""

# How the Linux kernel says that a machine does not allow a thing; all else is an error of the lesson.
_REFUSALS = (errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EUSERS, errno.ENOSYS)

T = TypeVar("T")


class Lab:
    """The bench of the lesson `lesson`, which asks and checks what stands in ``labcontainer/lessons/lesson_NN.py``."""

    # Whether a cell could not run here: then it has made none of its variables either.
    _lacks_something = False

    def __init__(self, lesson: str) -> None:
        self.lesson = lesson
        self.student = student.current()
        root, run = _parents()
        self.root = Path(tempfile.mkdtemp(prefix=f"{lesson}-", dir=root))
        self.run = run / self.root.name
        self.run.mkdir(mode=0o700)
        self.directory.mkdir()
        # Experiments with other users begin inside; nobody else comes by, because `root` is closed to them.
        self.directory.chmod(0o755)
        self._close = weakref.finalize(self, janitor.start(self.root, self.run))
        os.environ["LABCONTAINER_ROOT"], os.environ["LABCONTAINER_RUN"] = str(self.root), str(self.run)
        self._engine: Engine | None = None
        self._hints_given: dict[str, int] = {}
        self._content = content(lesson)
        self.verdicts: dict[str, Verdict] = {}

    def __repr__(self) -> str:
        return f"<Lab {self.lesson}>"

    @property
    def engine(self) -> Engine:
        """An engine over this lab's private root; it is opened when it is first asked for."""
        if self._engine is None:
            from labcontainer.engine import Engine

            self._engine = Engine(self.root, self.run)
        return self._engine

    @property
    def directory(self) -> Path:
        """A directory for the lesson's own files, on a file system that can carry an overlay; `reset` empties it."""
        return self.root / "bench"

    def predict(self, name: str) -> Prediction:
        """The question called `name`. Raises: NotFound."""
        predictions: Mapping[str, Prediction] = self._content.get("PREDICTIONS", {})
        return _named(predictions, "prediction", name)

    def task(self, name: str) -> Sheet:
        """What is to be done in the exercise `name`, with this student's parameters. Raises: NotFound."""
        exercise = self._exercise(name)
        return Sheet(exercise.task.format_map(self._parameters(name, exercise)))

    def hint(self, name: str) -> Sheet:
        """The next of the three hints for the exercise `name`. Raises: NotFound."""
        exercise = self._exercise(name)
        given = min(self._hints_given.get(name, 0) + 1, len(exercise.hints))
        self._hints_given[name] = given
        text = exercise.hints[given - 1].format_map(self._parameters(name, exercise))
        return Sheet(f"Hint {given} of {len(exercise.hints)}: {text}")

    def check(self, name: str, subject: object = None) -> Verdict:
        """Judge the exercise `name` by the state it has brought about; `subject` is what the exercise asks for.

        Raises: NotFound (no such exercise).
        """
        exercise = self._exercise(name)
        verdict = judged(name, exercise, Bench(self, subject, self._parameters(name, exercise)))
        self.verdicts[name] = verdict
        return verdict

    @contextlib.contextmanager
    def where_possible(self) -> Iterator[None]:
        """A block that needs what a machine may lack: where it does, a sentence says so, and the lesson goes on.

        The same where a file of this lab, or a variable, is missing, because the cell that makes it could not run.
        """
        try:
            yield
        except FileNotFoundError as error:
            missing = Path(error.filename or "/")
            if self.root not in missing.parents:
                raise
            name = missing.relative_to(self.directory if self.directory in missing.parents else self.root)
            print(f"This cell needs {name}, which an earlier cell makes where your machine allows it.")  # noqa: T201
        except NameError as error:
            if not self._lacks_something:
                raise
            print(f"This cell needs {error.name}, which an earlier cell makes where your machine allows it.")  # noqa: T201
        except (HostError, InitError, KernelError) as error:
            # 126 and 127 are about the command in the container, not about the machine.
            if isinstance(error, InitError) and error.exit_code != 125:
                raise
            if isinstance(error, KernelError) and error.errno not in _REFUSALS:
                raise
            self._lacks_something = True
            print(f"This cell cannot run on your machine, and the lesson goes on without it: {error}")  # noqa: T201

    def until(self, true: Callable[[], bool], seconds: float = 30) -> None:
        """Wait for a state: ask `true` again and again until it is so. Raises: TimeoutError."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{seconds:g} seconds have not been enough; run this cell again")
            time.sleep(0.05)

    def reset(self) -> None:
        """A clean bench: no containers, no kept children, `directory` empty, hints from the first. Images stay."""
        for child in _kept_children():
            child.end()
        if (self.root / "containers").is_dir():
            for container in self.engine.containers.list(all=True):
                with contextlib.suppress(LabError):
                    container.remove(force=True)
        # In a process of its own, because files of subordinate ids are removed from inside a user namespace.
        subprocess.run([sys.executable, "-I", "-c", _EMPTY, str(self.directory)], check=True)
        self._hints_given.clear()

    def close(self) -> None:
        """Clear everything away, now rather than at the end of the notebook kernel."""
        self._close()

    def _exercise(self, name: str) -> Exercise:
        exercises: Mapping[str, Exercise] = self._content.get("EXERCISES", {})
        return _named(exercises, "exercise", name)

    def _parameters(self, name: str, exercise: Exercise) -> dict[str, str]:
        pick = self.student.pick
        return {key: pick(self.lesson, f"{name}.{key}", choices) for key, choices in exercise.parameters.items()}


def _parents() -> tuple[Path, Path]:
    """Where labs are made: beside the user's own engine, which is on a file system that suits one."""
    from labcontainer.engine import default_directories

    parents = []
    for directory in default_directories():
        # A lab that is open already has put its own directories into the environment.
        parent = directory.parent if directory.parent.name == _LESSONS else directory / _LESSONS
        parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        parents.append(parent)
    return parents[0], parents[1]


def content(lesson: str) -> dict[str, Any]:
    """What stands in the module of `lesson`, by name: PREDICTIONS, EXERCISES; nothing where there is none."""
    name = f"labcontainer.lessons.lesson_{lesson}"
    if importlib.util.find_spec(name) is None:
        return {}
    return vars(importlib.import_module(name))


def _named(things: Mapping[str, T], kind: str, name: str) -> T:
    if name not in things:
        raise NotFound(kind, name, f"choose from {', '.join(things)}" if things else "this lesson has none")
    return things[name]


def _kept_children() -> list[Child]:
    # ``%%child --keep`` puts its handle among the notebook's variables, and nowhere else.
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    variables = shell.user_ns.values() if shell else ()
    return [value for value in variables if isinstance(value, Child)]
