"""``engine.containers``: run, create, get, list, as in docker-py."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from labcontainer.engine import config, names, options, record, sharing
from labcontainer.engine.container import Container
from labcontainer.engine.filters import Given
from labcontainer.engine.holding import holding
from labcontainer.engine.options import Command, Options
from labcontainer.engine.record import Record
from labcontainer.errors import Conflict, ContainerError, LabError, NotFound
from labcontainer.image.image import Image
from labcontainer.oci.bundle import Bundle
from labcontainer.oci.runtime_spec import Spec
from labcontainer.runtime import events, state
from labcontainer.runtime.client import Connection
from labcontainer.runtime.life import Status
from labcontainer.runtime.remove import bury
from labcontainer.runtime.request import Request
from labcontainer.runtime.state import State

if TYPE_CHECKING:
    from labcontainer.engine.engine import Engine


class Containers:
    """The containers of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @overload
    def run(self, image: str, command: Command = None, *, detach: Literal[True], **settings: Any) -> Container: ...

    @overload
    def run(self, image: str, command: Command = None, *, detach: Literal[False] = False, **settings: Any) -> bytes: ...

    def run(self, image: str, command: Command = None, *, detach: bool = False, **settings: Any) -> bytes | Container:
        """Create a container, start it, and wait for it; returns what it wrote to stdout.

        With ``detach=True`` returns the running `Container` at once. `settings` are those of `create`; with
        ``remove=True`` nothing of it is left afterwards.

        Raises: NotFound (image), UsageError, HostError, InitError (it did not start), ContainerError (its exit status
        is not 0).
        """
        container, connection = self.open(image, command, begin=not detach, **settings)
        try:
            if detach:
                connection.start()
                connection.expect("started")
                return container
            output: dict[int, list[bytes]] = {1: [], 2: []}
            ended = connection.pump(lambda stream, data: output[stream].append(data))
        finally:
            connection.close()
        if ended.code:
            words = options.words(command) or ()
            raise ContainerError(ended.code, words, image, b"".join(output[2]))
        return b"".join(output[1])

    def create(self, image: str, command: Command = None, **settings: Any) -> Container:
        """Make a container, all of it on disk; no process is started before `Container.start`.

        Settings, docker-py's: name, environment, working_dir, user, group_add, entrypoint, labels, annotations,
        hostname, domainname, extra_hosts, dns, dns_search, dns_opt; the limits (mem_limit "64m", nano_cpus, pids_limit
        …: `limits.Constraints`), cgroup_parent, ulimits, sysctls, shm_size; volumes, mounts, tmpfs, devices,
        device_cgroup_rules, read_only; network_mode, pid_mode, ipc_mode, uts_mode, userns_mode, cgroupns
        (`sharing.Sharing`); privileged, cap_add, cap_drop, security_opt (`security.Security`), and of our own
        no_new_privileges and seccomp (False: no filter; else a policy in docker's format); tty, stdin_open, stdin_once
        (stdin ends when its client's does), attach (for the record), init (a PID 1 that waits for orphans), remove,
        restart_policy ({"Name": "on-failure", "MaximumRetryCount": 3}), healthcheck ({"test": […], "interval": ns …}),
        stop_signal, stop_timeout (seconds), log_config ({"Type": "json-file", "Config": {"max-size": "10m"}}),
        platform, runtime (only to say that they are what is here).

        Raises: NotFound (image, another container), UsageError, HostError, Conflict (name).
        """
        return self._create(image, command, settings, None)

    def open(
        self, image: str, command: Command = None, *, begin: bool = False, **settings: Any
    ) -> tuple[Container, Connection]:
        """Make a container and launch it, for callers that attach to it and start it themselves, or have it `begin`.

        It ends where the caller hangs up, or is killed, before it has said "start". Settings and errors: see `create`
        and `Container.launch`.
        """
        with contextlib.ExitStack() as held:
            container = self._create(image, command, settings, held)
            return container, container.launch(begin=begin)

    def _create(
        self, image: str, command: Command, settings: Mapping[str, Any], held: contextlib.ExitStack | None
    ) -> Container:
        chosen = options.parse(command, settings, self._resolve)
        found = self._engine.images.get(image)
        container_id = os.urandom(32).hex()
        directory = self._engine.container_root / container_id
        lowerdirs = self._engine.snapshots.lowerdirs(found, self._engine.store)
        cgroup_name = self._engine.cgroup_name(container_id, chosen)
        spec = self._spec(found, chosen, lowerdirs, directory, cgroup_name)
        request = self._request(directory, lowerdirs, cgroup_name, chosen)
        with self._engine.locked():
            self._engine.snapshots.lowerdirs(found, self._engine.store)  # a prune may just have removed them
            asked = self._record(container_id, image, found, chosen, settings)
            self._write(directory, spec, request, replace(asked, transient=held is not None), chosen)
            if held is not None:
                held.callback(os.close, holding(directory))
        events.record(self._engine.root, "create", container_id, events.attributes(directory))
        return Container(self._engine, directory)

    def explain(self, image: str, command: Command = None, **settings: Any) -> list[tuple[str, str]]:
        """What `run` with the same words would do, as (calls, why), and do none of it. Settings and errors: see
        `create`."""
        from labcontainer.engine import explain  # brings the monitor along, which no other verb of a client needs
        from labcontainer.kernel.overlay import Overlay
        from labcontainer.runtime import plan

        chosen = options.parse(command, settings, self._resolve)
        found = self._engine.images.get(image)
        lowerdirs = self._engine.snapshots.lowerdirs(found, self._engine.store)
        directory = self._engine.container_root / "<id>"
        cgroup_name = self._engine.cgroup_name(directory.name, chosen)
        spec = self._spec(found, chosen, lowerdirs, directory, cgroup_name)
        overlay = Overlay(lowerdirs, directory / "upper", directory / "work", userxattr=os.geteuid() != 0)
        return explain.lines(spec, plan.root(spec, Bundle(directory).rootfs, overlay), cgroup_name)

    def get(self, id_or_name: str) -> Container:
        """The container of that name, id, or beginning of an id. Raises: NotFound, Conflict (several ids begin so)."""
        matches = []
        for directory in self._engine.container_directories():
            if directory.name == id_or_name or self._name_of(directory) == id_or_name:
                return Container(self._engine, directory)
            if id_or_name and directory.name.startswith(id_or_name):
                matches.append(directory)
        if len(matches) > 1:
            raise Conflict("container", id_or_name, "is the beginning of several ids: give more digits")
        if not matches:
            raise NotFound("container", id_or_name, "lab ps -a lists them")
        return Container(self._engine, matches[0])

    def list(
        self,
        all: bool = False,
        before: str | None = None,
        filters: Given = None,
        limit: int = -1,
        since: str | None = None,
    ) -> list[Container]:
        """Running containers, with `all` every one; the newest first, `limit` of them at most.

        Filters, docker's: ancestor, before, exited, health, id, label, name, network, since, status, volume.

        Raises: UsageError; NotFound, Conflict (`before` or `since` names none, or several).
        """
        from labcontainer.engine import selection

        found = selection.select(self._engine, all=all, before=before, filters=filters, limit=limit, since=since)
        return [Container(self._engine, each.directory) for each in found]

    def prune(self, filters: Given = None) -> dict[str, Any]:
        """Remove all that do not run: ``{"ContainersDeleted": [id, …], "SpaceReclaimed": bytes}``.

        Filters: until (made before then), label, label!.

        Raises: UsageError.
        """
        from labcontainer.engine import prune

        return prune.containers(self._engine, filters)

    def free_name(self, wanted: str | None) -> str:
        """`wanted`, or a generated name; the caller holds the engine's lock. Raises: Conflict, UsageError."""
        taken = {self._name_of(directory) for directory in self._engine.container_directories()}
        if wanted is None:
            return names.generate(taken)
        if options.name(wanted) in taken:
            raise Conflict("container", wanted, "exists already; remove it (lab rm), or choose another name")
        return wanted

    def _spec(
        self, image: Image, chosen: Options, lowerdirs: Sequence[Path], directory: Path, cgroup_name: str | None
    ) -> Spec:
        donors = chosen.sharing.donors()
        if "ipc" in donors:
            sharing.check_shareable(self.get(donors["ipc"]).record.settings.get("ipc_mode"))
        donor = donors.get("network")
        names = self._engine.container_root / donor if donor else directory
        return config.spec(image, chosen, lowerdirs, directory.name, names=names, cgroup_path=cgroup_name)

    def _resolve(self, id_or_name: str) -> str:
        """The id of another container, whose namespaces are to be shared. Raises: NotFound, Conflict."""
        return self.get(id_or_name).id

    def _write(self, directory: Path, spec: Spec, request: Request, asked: Record, chosen: Options) -> None:
        """Write a new container down, its state last; where that fails (a full disk) nothing is left of it."""
        try:
            directory.mkdir(mode=0o700)
            for name in ("upper", "work", "rootfs"):
                (directory / name).mkdir(mode=0o755)
            Bundle(directory).write(spec)
            chosen.names.write(directory, directory.name, host_network=chosen.sharing.host_network)
            record.write_request(directory, request)
            record.write(directory, asked)
            state.save(directory, State(directory.name, Status.CREATED, state.boot_id()))
        except BaseException:
            bury(directory)
            raise

    def _request(self, directory: Path, lowerdirs: Sequence[Path], cgroup: str | None, chosen: Options) -> Request:
        return Request(
            id=directory.name,
            directory=str(directory),
            lowerdirs=tuple(str(path) for path in lowerdirs),
            cgroup=cgroup,
            cache=str(self._engine.root / "cache"),
            remove=chosen.remove,
            interactive=chosen.stdin_open,
            stdin_once=chosen.stdin_once,
            init=chosen.init,
            log=chosen.log,
            restart=chosen.restart,
            health=chosen.health,
            joins=chosen.sharing.donors(),
        )

    def _record(
        self, container_id: str, reference: str, image: Image, chosen: Options, settings: Mapping[str, Any]
    ) -> Record:
        return Record(
            id=container_id,
            name=self.free_name(chosen.name),
            image=reference,
            image_id=str(image.id),
            command=config.arguments(image, chosen),
            created_ns=time.time_ns(),
            remove=chosen.remove,
            labels={**image.config.config.labels, **chosen.labels},
            stop_signal=chosen.stop_signal or image.config.config.stop_signal or "SIGTERM",
            stop_timeout_s=chosen.stop_timeout_s,
            settings=json.loads(json.dumps(settings, default=str)),
        )

    def _name_of(self, directory: Path) -> str:
        try:
            return record.read(directory).name
        except LabError:
            return ""
