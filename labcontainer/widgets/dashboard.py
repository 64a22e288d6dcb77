"""The cgroup dashboard: limits that act while a container runs, beside what it uses.

>>> dashboard = CgroupDashboard(box)
>>> dashboard.set(mem_limit="96m")
>>> dashboard.step().limits.memory_bytes
100663296
>>> dashboard.close()
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from labcontainer.errors import LabError, NotFound, StateError, UsageError
from labcontainer.kernel import cgroup
from labcontainer.runtime import fault
from labcontainer.widgets import dashboard_model as model
from labcontainer.widgets import dashboard_scales, page
from labcontainer.widgets.dashboard_marks import Mark
from labcontainer.widgets.dashboard_model import Track
from labcontainer.widgets.reading import Reading, read
from labcontainer.widgets.sampler import Sampler
from labcontainer.widgets.stage import STATIC, Stage

if TYPE_CHECKING:
    from labcontainer.engine import Container

INTERVAL_S = 0.5


class DashboardStage(Stage):
    """Its script and style."""

    _esm = STATIC / "dashboard.js"
    _css = STATIC / "dashboard.css"


class CgroupDashboard:
    """Sliders and charts of one container out of `containers`, read from its cgroup twice a second.

    Sampling ends when all of them have ended, by `pause`, and by `close`.
    """

    def __init__(self, *containers: Container, interval_s: float = INTERVAL_S, live: bool = True) -> None:
        """Without `live` nothing is read but by `step`. What the machine refuses is shown, and raised by `step`.

        Raises: UsageError (no container), NotFound.
        """
        if not containers:
            raise UsageError("containers", containers, "give at least one, as engine.containers.run(…, detach=True)")
        self._containers = {each.id: each for each in containers}
        self._tracks = {each.id: Track(each.id, each.name) for each in containers}
        self._chosen = containers[0].id
        self._scales = dashboard_scales.scales(cgroup.machine())
        self._error = ""
        self._lock = threading.RLock()
        self.stage = DashboardStage()
        self.stage.on_command(self._obey)
        self._sampler = Sampler(_weakly(self._sample), interval_s)
        # Also at the interpreter's end, so that no sample is taken of a world that is being torn down.
        self._finalizer = weakref.finalize(self, self._sampler.stop)
        self._sample()
        if live:
            self.resume()

    def __enter__(self) -> CgroupDashboard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what was read

    @property
    def readings(self) -> tuple[Reading, ...]:
        """What was read of the chosen container in the last minute, the oldest first."""
        return self._tracks[self._chosen].readings

    @property
    def marks(self) -> tuple[Mark, ...]:
        """What happened to the chosen container while it was watched: limits met, and limits changed."""
        return self._tracks[self._chosen].marks

    @property
    def sampling(self) -> bool:
        """Whether it reads by itself."""
        return self._sampler.running

    def step(self) -> Reading:
        """Read the chosen container once, now.

        Raises: StateError (it does not run), HostError (it has no cgroup), NotFound (it was removed).
        """
        container = self._containers[self._chosen]
        with self._lock:
            try:
                found = self._look(container)
            finally:
                self._show()
        if found is None:
            raise StateError(container.id, container.state.status, "read the cgroup of", "start it first")
        return found

    # -- what a mouse can do, too

    def choose(self, container: Container | str) -> None:
        """Show this container, given itself or by its name or id.

        Raises: NotFound (the dashboard does not have it).
        """
        with self._lock:
            self._chosen = self._find(container)
            self._error = ""
            self._show()

    def set(self, **limits: Any) -> Reading:
        """Change limits of the chosen container while it runs, by docker-py's names: ``set(mem_limit="96m")``.

        -1 takes a limit away. The sliders' own are mem_limit, nano_cpus, pids_limit and cpu_shares.

        Raises: UsageError, KernelError (EBUSY: more is in use), HostError, StateError (it does not run).
        """
        try:
            self._containers[self._chosen].update(**limits)
        except LabError as refused:
            self._refuse(refused)
            raise
        self._error = ""
        return self.step()

    def pause(self) -> None:
        """Read no more by itself; what was read stays."""
        self._sampler.stop()
        self._show()

    def resume(self) -> None:
        """Read by itself from now on, until every container has ended."""
        self._sampler.start()
        self._show()

    def close(self) -> None:
        """Stop reading, and take the widget away. Closing twice is fine."""
        self._finalizer()
        self.stage.close()

    def __repr__(self) -> str:
        return model.text(len(self._containers))

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return page.mimebundle(self.stage.model_id, repr(self), model.html(self._view()))

    # -- inside

    def _sample(self) -> bool:
        """Read every container; whether there is anything left to wait for."""
        with self._lock:
            for container in self._containers.values():
                try:
                    self._look(container)
                except LabError as error:
                    self._tracks[container.id] = model.ended(self._tracks[container.id], "not to be read")
                    self._error = fault.sentence(error)
            going = not all(track.ended for track in self._tracks.values())
            self._show(sampling=going and self.sampling)
        # Whoever closes the widget elsewhere (Widget.close_all) ends the sampling, too.
        return going and self.stage.comm is not None

    def _look(self, container: Container) -> Reading | None:
        track = self._tracks[container.id]
        try:
            found = read(container)
            now = container.state
        except NotFound:
            self._tracks[container.id] = model.ended(track, "removed")
            return None
        if found is not None:
            track = replace(model.grown(track, found, self._scales), status=container.status)
        elif now.exit_code is not None:
            words = f"ended, exit code {now.exit_code}"
            track = model.ended(track, words, oom_killed=now.oom_killed)
        else:
            track = replace(track, status=container.status)
        self._tracks[container.id] = track
        return found

    def _find(self, wanted: Container | str) -> str:
        for id, track in self._tracks.items():
            if wanted in (id, id[:12], track.name, self._containers[id]):
                return id
        known = ", ".join(track.name for track in self._tracks.values())
        raise NotFound("container in this dashboard", str(wanted), f"choose from {known}")

    def _refuse(self, error: LabError) -> None:
        container = self._containers[self._chosen]
        with self._lock:
            # The id's 64 digits would hide the point.
            self._error = fault.sentence(error).replace(container.id, container.short_id)
            self._show()

    def _obey(self, command: dict[str, Any]) -> None:
        # A refusal is on the stage already; behind a mouse there is nobody to raise it to.
        try:
            match command["verb"]:
                case "choose":
                    self.choose(str(command["id"]))
                case "set":
                    scale = self._scales[command["limit"]]
                    self.set(**{scale.keyword: scale.value(int(command["stop"]))})
                case "step":
                    self.step()
                case "pause":
                    self.pause()
                case "resume":
                    self.resume()
        except LabError as error:
            if not self._error:
                self._refuse(error)

    def _view(self, *, sampling: bool | None = None) -> model.View:
        is_on = self.sampling if sampling is None else sampling
        tracks: Mapping[str, Track] = self._tracks
        return model.view(tuple(tracks.values()), self._chosen, self._scales, sampling=is_on, error=self._error)

    def _show(self, *, sampling: bool | None = None) -> None:
        with self._lock:
            self.stage.show(self._view(sampling=sampling))


def _weakly(sample: Callable[[], bool]) -> Callable[[], bool]:
    """`sample`, as long as its dashboard is wanted by anybody else."""
    reference = weakref.WeakMethod(sample)

    def take() -> bool:
        method = reference()
        return method is not None and method()

    return take
