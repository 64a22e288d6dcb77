"""The life of a container, watched and steered: a state diagram whose verbs act, and a time line of what has happened.

>>> with LifecycleView(container) as life:
...     life.start()
...     life.pause()
...     life.state
<Status.PAUSED: 'paused'>

It follows the engine's events and looks at the Linux kernel once a second, so that what happens elsewhere is seen, too:
in another cell, in a shell (``lab stop``), or by a bare ``kill``.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from typing import Any

from labcontainer.engine import Container, record, signals
from labcontainer.engine.options import Command
from labcontainer.errors import KernelError, LabError, NotFound, SpecError, UsageError
from labcontainer.kernel import file, proc
from labcontainer.runtime import events, fault
from labcontainer.runtime.changes import Changes
from labcontainer.runtime.life import Status
from labcontainer.runtime.rotated import Cursor
from labcontainer.runtime.state import State
from labcontainer.widgets import lifecycle_model as model
from labcontainer.widgets import page
from labcontainer.widgets.lifecycle_model import Observation
from labcontainer.widgets.lifecycle_times import Happening
from labcontainer.widgets.stage import STATIC, Stage

_LOOK_EVERY_S = 1.0  # no event tells of a freezer that somebody writes to by hand


class LifecycleStage(Stage):
    """Its script and style."""

    _esm = STATIC / "lifecycle.js"
    _css = STATIC / "lifecycle.css"


class LifecycleView:
    """One container, from created to removed. A thread watches it until `close`, or until it is removed."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self._watching = True
        self._busy: list[str] = []
        self._error = ""
        self._happenings: list[Happening] = []
        # The watching thread, the threads of the browser's commands and the notebook's own all look and show.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._seen = Observation(container.short_id, "", None)
        self._cursor = Cursor(container.directory.parents[1] / events.NAME)
        self.stage = LifecycleStage()
        self.stage.on_command(self._obey)
        self._changes = Changes(container.directory.parents[1])
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self.look()

    def __enter__(self) -> LifecycleView:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def state(self) -> Status | None:
        """The state as the Linux kernel has it now; None once the container is removed."""
        return self.look().status

    @property
    def happenings(self) -> tuple[Happening, ...]:
        """What has happened to it so far, the oldest first."""
        self.look()
        return model.completed(self._seen, self._happenings)

    @property
    def verbs(self) -> dict[str, str]:
        """Each verb, and why it is not for the present state; an empty text where it is."""
        return {verb.name: verb.reason for verb in self._view().verbs}

    def start(self) -> None:
        """Run its command. Raises: StateError, InitError."""
        self._do("start", self.container.start)

    def pause(self) -> None:
        """Freeze every process inside. Raises: StateError, HostError."""
        self._do("pause", self.container.pause)

    def unpause(self) -> None:
        """Let them go on. Raises: StateError."""
        self._do("unpause", self.container.unpause)

    def kill(self, signal: int | str = "SIGKILL") -> None:
        """Send `signal` to process 1. Raises: StateError, UsageError."""
        self._do("kill", lambda: self.container.kill(signal))

    def stop(self, timeout: float | None = None) -> None:
        """Ask it to end, and after `timeout` seconds kill it. Raises: StateError."""
        self._do("stop", lambda: self.container.stop(timeout))

    def restart(self, timeout: float | None = None) -> None:
        """Stop it and start it again. Raises: StateError, InitError."""
        self._do("restart", lambda: self.container.restart(timeout))

    def exec(self, command: Command) -> int | None:
        """Run one more command inside; its exit code. Raises: StateError, InitError."""
        code: int | None = self._do("exec", lambda: self.container.exec_run(command).exit_code)
        return code

    def remove(self, *, force: bool = False) -> None:
        """Delete it and its files. Raises: Conflict where it runs."""
        self._do("remove", lambda: self.container.remove(force=force))

    def wait_for(self, state: str | None, timeout: float = 30) -> None:
        """Return as soon as it is in `state` (None: removed). Raises: TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.look().status == state, timeout):
                raise TimeoutError(
                    f"it is {self._seen.status or 'removed'} after {timeout:g} s, not {state or 'removed'}"
                )

    def look(self) -> Observation:
        """Look at the container now, show what has changed, and return what is seen."""
        with self._lock:
            if self._watching:
                self._read_events()
            before, self._seen = self._seen, _observe(self.container, self._seen)
            self._show()
            if before != self._seen:
                self._changed.notify_all()
            return self._seen

    def close(self) -> None:
        """Stop watching; the container is left as it is. Closing twice is fine."""
        self._changes.cancel()
        self._watcher.join()

    def __repr__(self) -> str:
        return model.text()

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return page.mimebundle(self.stage.model_id, repr(self), model.html(self._view()))

    def _watch(self) -> None:
        with self._changes:
            while not self._changes.cancelled and not self._over():
                self._changes.wait(_LOOK_EVERY_S)
        with self._lock:
            self._watching = False
            self._cursor.__exit__()

    def _over(self) -> bool:
        """Whether it is gone, and the last of its events was read."""
        with self._lock:
            return self.look().status is None and any(each.action == "destroy" for each in self._happenings)

    def _do(self, verb: str, act: Callable[[], Any]) -> Any:
        with self._lock:
            self._busy.append(verb)
            self._error = ""
            self._show()
        try:
            return act()
        except LabError as error:
            self._error = fault.sentence(error)
            raise
        finally:
            with self._lock:
                self._busy.remove(verb)
                self.look()

    def _obey(self, command: dict[str, Any]) -> None:
        # A stop may wait for the whole grace period: meanwhile the notebook goes on, and so do the other buttons.
        threading.Thread(target=self._try, args=(command,), daemon=True).start()

    def _try(self, command: dict[str, Any]) -> None:
        verb, argument = command["verb"], command.get("argument", "")
        acts: dict[str, Callable[[], object]] = {
            "start": self.start,
            "pause": self.pause,
            "unpause": self.unpause,
            "kill": lambda: self.kill(argument),
            "stop": lambda: self.stop(_seconds(argument)),
            "restart": lambda: self.restart(_seconds(argument)),
            "exec": lambda: self.exec(argument),
            "remove": self.remove,
        }
        # A refusal is on the stage already; behind a mouse there is nobody to raise it to.
        with contextlib.suppress(LabError):
            try:
                acts[verb]()
            except UsageError as error:
                self._refuse(error)

    def _refuse(self, error: LabError) -> None:
        with self._lock:
            self._error = fault.sentence(error)
            self._show()

    def _read_events(self) -> None:
        for line in self._cursor.lines():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a killed process has left half a line
                event = json.loads(line)
                if event["Actor"]["ID"] == self.container.id:
                    self._happenings.append(Happening.of(event))

    def _view(self) -> model.View:
        return model.view(self._seen, self._happenings, busy=self._busy, error=self._error)

    def _show(self) -> None:
        self.stage.show(self._view())


def _observe(container: Container, before: Observation) -> Observation:
    try:
        now, asked = container.state, container.record
        policy = record.read_request(container.directory).restart
    except (NotFound, SpecError):
        return Observation(before.name, before.about, None)
    pid = now.init.pid if now.init and now.init.alive() else 0
    return Observation(
        name=asked.name,
        about=" · ".join((asked.image, " ".join(asked.command))),
        status=now.status,
        pid=pid,
        process=_process(pid),
        freezer=_freezer(now),
        exit_code=now.exit_code if now.status is Status.STOPPED else None,
        oom_killed=now.oom_killed,
        error=now.error,
        health=now.health,
        restarts=now.restarts,
        finished_ns=now.finished_ns,
        policy=policy,
        stop_signal=signals.number(asked.stop_signal),
    )


def _process(pid: int) -> str:
    try:
        return proc.status(pid)["State"] if pid else ""
    except KernelError:
        return ""  # it has ended since we asked


def _freezer(now: State) -> tuple[str, str]:
    """The file of the freezer, and what it says: ``THAWED`` on version 1, ``frozen 0`` on version 2."""
    if not now.freezer or now.init is None or not now.init.alive():
        return "", ""
    try:
        lines = file.read(now.freezer).split("\n")
    except KernelError:
        return "", ""  # the monitor has just taken the cgroup away
    return now.freezer, next((line for line in lines if line.startswith("frozen ")), lines[0])


def _seconds(text: str) -> float | None:
    """The grace period that was typed in; None for the container's own. Raises: UsageError."""
    try:
        return float(text) if text else None
    except ValueError:
        raise UsageError("grace period", text, "it must be a number of seconds") from None
