"""What `chaos` has done while somebody is killed: each deed as command line and as call of the API, and how it may end.

A deed that was cut short may have left the container as it was, as it should become, or in a state in between that is
named here. Everything else is a container lost.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainer import cli
from labcontainer.engine import Container, Engine

IMAGE = "lab/base"
SLEEP = (IMAGE, "sleep", "1000")
_BIG = os.path.realpath(sys.executable)
TALK = (IMAGE, "sh", "-c", "echo begun; sleep 0.05; echo done")

Words = Sequence[str]


@dataclass(frozen=True, slots=True)
class Deed:
    """`prepare` are command lines that come before; `lines` is the deed, or `call` by the API. NAME is the container's.

    `done` is the state that a deed leaves that was not disturbed; `cut` are others in which a disturbed one may leave.
    """

    name: str
    prepare: tuple[Words, ...]
    lines: tuple[Words, ...]
    call: Callable[[Engine, str], object]
    done: str
    cut: frozenset[str] = frozenset()
    victims: tuple[str, ...] = ()
    ends: bool = False  # the command ends by itself: there is no use in starting it again

    @property
    def allowed(self) -> frozenset[str]:
        """The states in which a disturbed one may leave its container."""
        return self.cut | {self.done}


def _get(act: Callable[[Container], object]) -> Callable[[Engine, str], object]:
    return lambda engine, name: act(engine.containers.get(name))


def _run(**settings: Any) -> Callable[[Engine, str], object]:
    def run(engine: Engine, name: str) -> object:
        with contextlib.redirect_stdout(io.StringIO()):
            return engine.containers.run(TALK[0], list(TALK[1:]), name=name, **settings)

    return run


def _run_detached(engine: Engine, name: str) -> object:
    return engine.containers.run(IMAGE, ["sleep", "1000"], detach=True, name=name)


def _create_and_start(engine: Engine, name: str) -> None:
    engine.containers.create(IMAGE, ["sleep", "1000"], name=name).start()


def _look(engine: Engine, _name: str) -> None:
    engine.containers.list(all=True)


def _wait(engine: Engine, _name: str) -> None:
    time.sleep(0.6)


def _copy_in(container: Container) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(_BIG, arcname="python")
    container.put_archive("/tmp", packed.getvalue())


def _copy_out(container: Container) -> None:
    chunks, _ = container.get_archive("/bin")
    for _ in chunks:
        pass


_RUN = ("run", "-d", "--name", "NAME")
_RUNNING = ((*_RUN, *SLEEP),)
_STOPPED = (*_RUNNING, ("stop", "-t", "0", "NAME"))
_POLICY = ((*_RUN, "--restart", "always", IMAGE, "sleep", "0.15"),)
_HEALTH = ((*_RUN, "--health-cmd", "sleep 0.05", "--health-interval", "0.1s", *SLEEP),)
_EXEC = ("sh", "-c", "echo inside; sleep 0.05")
_CUT = frozenset({"exited"})

DEEDS: tuple[Deed, ...] = (
    Deed("run -d", (), ((*_RUN, *SLEEP),), _run_detached, "running", _CUT | {"absent"}),
    Deed("run", (), (("run", "--name", "NAME", *TALK),), _run(), "exited", frozenset({"absent"}), ends=True),
    Deed("run --rm", (), (("run", "--rm", "--name", "NAME", *TALK),), _run(remove=True), "absent"),
    Deed("create, start", (), (("create", "--name", "NAME", *SLEEP), ("start", "NAME")), _create_and_start,
         "running", _CUT | {"absent", "created"}),
    Deed("start", (("create", "--name", "NAME", *SLEEP),), (("start", "NAME"),), _get(lambda one: one.start()),
         "running", _CUT | {"created"}),
    Deed("start again", _STOPPED, (("start", "NAME"),), _get(lambda one: one.start()), "running", _CUT),
    Deed("stop", _RUNNING, (("stop", "-t", "0.1", "NAME"),), _get(lambda one: one.stop(0.1)),
         "exited", frozenset({"running"})),
    Deed("kill", _RUNNING, (("kill", "NAME"),), _get(lambda one: one.kill()), "exited", frozenset({"running"})),
    Deed("restart", _RUNNING, (("restart", "-t", "0", "NAME"),), _get(lambda one: one.restart(0)), "running", _CUT),
    Deed("restart of --rm", (("run", "-d", "--rm", "--name", "NAME", *SLEEP),), (("restart", "-t", "0", "NAME"),),
         _get(lambda one: one.restart(0)), "running", frozenset({"absent"})),
    Deed("exec", _RUNNING, (("exec", "NAME", *_EXEC),), _get(lambda one: one.exec_run(list(_EXEC))),
         "running", victims=("session", "command")),
    Deed("pause", _RUNNING, (("pause", "NAME"),), _get(lambda one: one.pause()), "paused", frozenset({"running"})),
    Deed("unpause", (*_RUNNING, ("pause", "NAME")), (("unpause", "NAME"),), _get(lambda one: one.unpause()),
         "running", frozenset({"paused"})),
    Deed("rm", _STOPPED, (("rm", "NAME"),), _get(lambda one: one.remove()), "absent", _CUT),
    Deed("rm -f", _RUNNING, (("rm", "-f", "NAME"),), _get(lambda one: one.remove(force=True)),
         "absent", _CUT | {"running"}),
    Deed("update", _RUNNING, (("update", "-m", "64m", "--restart", "no", "NAME"),),
         _get(lambda one: one.update(mem_limit="64m")), "running"),
    Deed("cp to it", _RUNNING, (("cp", _BIG, "NAME:/tmp/"),), _get(_copy_in), "running", victims=("visitor",)),
    Deed("cp from a stopped one", _STOPPED, (("cp", "NAME:/bin", "/OUT"),), _get(_copy_out),
         "exited", victims=("visitor",)),
    Deed("a policy starts it", _POLICY, (), _wait, "running", frozenset({"restarting"}), ends=True),
    Deed("a health check", _HEALTH, (), _wait, "running", victims=("checker",)),
    Deed("mending", (*_RUNNING, ("KILL", "monitor")), (("ps", "-a"),), _look, "running"),
    Deed("mending an end", (*_RUNNING, ("KILL", "monitor"), ("KILL", "init")), (("ps", "-a"),), _look, "exited"),
    Deed("mending a policy", (*_POLICY, ("KILL", "monitor"), ("KILL", "init")), (("ps", "-a"),), _look,
         "running", frozenset({"restarting"}), ends=True),
)  # fmt: skip


def lab(words: Words, out: Path) -> int:
    """Run ``lab`` in this process, a child made for it; its exit status."""
    sys.argv = ["lab", *(str(out) if word == "/OUT" else word for word in words)]
    try:
        cli.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def named(words: Words, name: str) -> list[str]:
    """A command line with the container's name put in."""
    return [word.replace("NAME", name) for word in words]
