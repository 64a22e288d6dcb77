"""The façade: one engine root, its images, its containers, its zygote.

>>> import labcontainer
>>> engine = labcontainer.from_env()
>>> engine.containers.run("lab/base", "echo hello", remove=True)
b'hello\\n'
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from labcontainer.engine.containers import Containers
from labcontainer.engine.images import Images
from labcontainer.engine.mend import forget_traces, mend
from labcontainer.engine.options import Options
from labcontainer.errors import HostError, told
from labcontainer.image.snapshot import Snapshots
from labcontainer.image.store import Store
from labcontainer.kernel import cgroup, trace
from labcontainer.kernel.trace import Event
from labcontainer.runtime.client import Zygote
from labcontainer.runtime.remove import clear_away

if TYPE_CHECKING:
    from labcontainer.engine import filters as filtering
    from labcontainer.engine.stream import Stream
    from labcontainer.engine.when import When


class Trace:
    """What `Engine.trace` yields: `events` of all processes, in time order, once the block has ended."""

    def __init__(self) -> None:
        self.events: tuple[Event, ...] = ()


class Engine:
    """A container engine over the directories `root` (what lasts) and `run` (what a reboot may take)."""

    def __init__(self, root: Path, run: Path) -> None:
        self.root = root
        self.run = run
        self.container_root = root / "containers"
        for directory in (root, run, self.container_root):
            directory.mkdir(parents=True, exist_ok=True, mode=0o711 if directory == root else 0o700)
        self.store = Store(root / "images")
        self.snapshots = Snapshots(root / "layers")
        self.zygote = Zygote(run)
        self.containers = Containers(self)
        self.images = Images(self)
        self._trace_path: str | None = None
        self.mended = self.mend_all()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the zygote. Containers that run go on running."""
        self.zygote.stop()

    @contextlib.contextmanager
    def trace(self) -> Iterator[Trace]:
        """Record every system call that is made for this engine inside the block, in all its processes."""
        import tempfile  # brings much along, and few trace

        result = Trace()
        with contextlib.ExitStack() as stack:
            with self.locked():
                file = stack.enter_context(tempfile.NamedTemporaryFile(dir=self.run, prefix="trace-", suffix=".jsonl"))
                fcntl.flock(file, fcntl.LOCK_EX)
            self._trace_path = file.name
            try:
                with trace.recording() as ours:
                    yield result
            finally:
                self._trace_path = None
                result.events = trace.merge(ours, trace.read(file))

    def events(
        self,
        since: When = None,
        until: When = None,
        filters: filtering.Given = None,
        decode: bool = False,
    ) -> Stream[Any]:
        """What happens to containers, as it happens: lines of JSON, or dicts with ``decode=True``, as in docker-py.

        Without `since` and `until` from now on, without end: `close` the stream, from any thread. Filters: container,
        event, image, label, type.

        Raises: UsageError.
        """
        from labcontainer.engine import events

        return events.stream(self.root, since, until, filters, decode=decode)

    def df(self) -> dict[str, Any]:
        """What it takes up on the disk (`engine.disk_usage`), in the shape of docker-py's ``df``."""
        from labcontainer.engine import disk_usage

        return disk_usage.usage(self)

    def info(self) -> dict[str, Any]:
        """The engine and its machine, under docker's field names."""
        from labcontainer.engine import information

        return information.info(self)

    def version(self) -> dict[str, Any]:
        """What runs here, under docker's field names."""
        from labcontainer.engine import information

        return information.version()

    def trace_path(self) -> str | None:
        """Where the processes of a new container append their events; None while nobody records."""
        return self._trace_path

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the engine root for oneself: names are given out, and half-made things mended, one at a time."""
        fd = os.open(self.run / "engine.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def cgroup_name(self, container_id: str, options: Options) -> str | None:
        """The cgroup that a container gets; None where this user may make none and no limit asks for one.

        Raises: HostError where a limit was asked for and the cgroups are not delegated to this user.
        """
        name = _below(options.cgroup_parent, container_id)
        if os.geteuid() == 0:
            return name
        try:
            cgroup.host().writable_base()
        except HostError:
            # Without a PID namespace of its own nothing but the cgroup knows which processes are the container's.
            if options.constraints.need_cgroup or options.cgroup_parent or "pid" not in options.sharing.own():
                raise
            return None
        return name

    def container_directories(self) -> list[Path]:
        """A directory for each container; one whose name begins with a dot is just being removed."""
        return sorted(each for each in self.container_root.iterdir() if not each.name.startswith("."))

    def mend(self, directory: Path) -> list[str]:
        """Put right what a killed process has left half done in one container's directory; says what was mended."""
        return mend(self, directory)

    def mend_all(self) -> list[str]:
        """`mend` every container; called whenever an engine is opened."""
        forget_traces(self.run, self.locked)
        mended = []
        for half_removed in self.container_root.glob(".*"):
            try:
                clear_away(half_removed, wait=False)
            except OSError as error:
                mended.append(f"{half_removed}: what is left of a container was not removed: {told(error)}")
        return mended + [line for directory in self.container_directories() for line in self.mend(directory)]


def _below(parent: str, container_id: str) -> str:
    """Docker's ``--cgroup-parent``: a path, or a slice of systemd."""
    if not parent:
        return container_id
    return f"{parent}:labcontainer:{container_id}" if parent.endswith(".slice") else f"{parent}/{container_id}"


def from_env() -> Engine:
    """The engine of this user: $LABCONTAINER_ROOT and $LABCONTAINER_RUN, or the system's (root) or user's
    directories."""
    root, run = default_directories()
    return Engine(root, run)


def default_directories() -> tuple[Path, Path]:
    """Where `from_env` keeps what lasts, and what does not."""
    uid = os.geteuid()
    if uid == 0:
        root, run = Path("/var/lib/labcontainer"), Path("/run/labcontainer")
    else:
        home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"{os.environ.get('TMPDIR') or '/tmp'}/labcontainer-{uid}")
        root, run = home / "labcontainer", runtime / "labcontainer"
    return Path(os.environ.get("LABCONTAINER_ROOT") or root), Path(os.environ.get("LABCONTAINER_RUN") or run)
