"""One cgroup, whichever versions it is made of."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path
from typing import Protocol

from labcontainer.errors import KernelError, UsageError
from labcontainer.kernel import file
from labcontainer.kernel.cgroup import host as hosts
from labcontainer.kernel.cgroup.limits import Limits
from labcontainer.kernel.cgroup.usage import Events, Usage

_REMOVE_TRIES = 200
_REMOVE_PAUSE_S = 0.002


class Controllers(Protocol):
    """What differs between the versions: `v1.Controllers` and `v2.Controllers`."""

    directories: tuple[Path, ...]

    def set(self, limits: Limits) -> None:
        """Write the limits."""
        ...

    def limits(self) -> Limits:
        """Read them back."""
        ...

    def usage(self) -> Usage:
        """Read what is used."""
        ...

    def events(self) -> Events:
        """Read how often limits were met."""
        ...

    def freeze(self, wanted: bool) -> None:
        """Stop every process, or let them go on."""
        ...

    def frozen(self) -> bool:
        """Whether every process is stopped."""
        ...


class Cgroup:
    """A cgroup by its name under this user's base; the limits are `controllers`', the processes' fate is here."""

    def __init__(self, name: str, controllers: Controllers, unified: Path | None) -> None:
        self.name = name
        self._controllers = controllers
        self._unified = unified
        self.directories = controllers.directories + ((unified,) if unified else ())
        self._fd: int | None = None

    def set(self, limits: Limits) -> None:
        """Write `limits`; what is None stays. Raises: KernelError, HostError (no such controller).
        See: man 7 cgroups"""
        self._controllers.set(limits)

    def limits(self) -> Limits:
        """The limits as the Linux kernel has them. Raises: KernelError. See: man 7 cgroups"""
        return self._controllers.limits()

    def usage(self) -> Usage:
        """Memory, CPU time and processes now. Raises: KernelError. See: man 7 cgroups"""
        return self._controllers.usage()

    def events(self) -> Events:
        """How often limits were met. Raises: KernelError. See: man 7 cgroups"""
        return self._controllers.events()

    def add(self, pid: int) -> None:
        """Move process `pid` in; where it was born there by `directory_fd`, only the controllers of version 1 are left.

        Raises: KernelError (ESRCH, EACCES). See: man 7 cgroups
        """
        born_inside = self._unified if self._fd is not None else None
        for directory in self.directories:
            if directory != born_inside:
                file.write(directory / "cgroup.procs", str(pid))

    def directory_fd(self) -> int | None:
        """A descriptor for clone3's CLONE_INTO_CGROUP, where version 2 is there. See: man 2 clone"""
        if self._unified is not None and self._fd is None:
            self._fd = os.open(self._unified, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._fd

    def pids(self) -> tuple[int, ...]:
        """The processes inside, those of nested cgroups too. Raises: KernelError. See: man 7 cgroups"""
        return tuple(sorted({pid for top in self.directories for place in _tree(top) for pid in _procs(place)}))

    def pressure(self, resource: str) -> str | None:
        """``memory``, ``cpu`` or ``io`` pressure as the file has it; None where the host does not measure it.

        See: https://docs.kernel.org/accounting/psi.html
        """
        path = self._unified / f"{resource}.pressure" if self._unified else None
        return file.read(path) if path and path.exists() else None

    def freeze(self) -> None:
        """Stop every process inside and wait until they stand. Raises: KernelError. See: man 7 cgroups (freezer)"""
        self._freeze(True)

    def thaw(self) -> None:
        """Let them go on. Raises: KernelError. See: man 7 cgroups (freezer)"""
        self._freeze(False)

    @property
    def frozen(self) -> bool:
        """Whether every process inside is stopped. Raises: KernelError. See: man 7 cgroups (freezer)"""
        return self._controllers.frozen()

    def kill(self) -> None:
        """Kill every process inside, forks that happen meanwhile too; an empty or missing cgroup is well.

        See: https://docs.kernel.org/admin-guide/cgroup-v2.html#core-interface-files (cgroup.kill)
        """
        if self._unified and (self._unified / "cgroup.kill").exists():
            file.write(self._unified / "cgroup.kill", "1")
            return
        for _ in range(_REMOVE_TRIES):
            inside = self.pids()
            if not inside:
                return
            for pid in inside:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(_REMOVE_PAUSE_S)

    def remove(self) -> None:
        """Remove the cgroup and those nested in it, waiting for processes that are just dying.

        Raises: KernelError (EBUSY: processes live in it). See: man 7 cgroups
        """
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        for top in self.directories:
            for place in reversed(_tree(top)):
                _rmdir(place)

    def _freeze(self, wanted: bool) -> None:
        self._controllers.freeze(wanted)
        for _ in range(_REMOVE_TRIES):
            if self.frozen is wanted:
                return
            time.sleep(_REMOVE_PAUSE_S)


def create(name: str) -> Cgroup:
    """Make the cgroup `name` for a container, in every hierarchy that it needs.

    Needs: root, or a delegated cgroup. Raises: HostError, KernelError, UsageError (a name with a slash).
    See: man 7 cgroups
    """
    group = _named(name)
    for directory in group.directories:
        _make(directory)
    return group


def open(name: str) -> Cgroup:
    """The cgroup `name`, made before. Raises: HostError, UsageError. See: man 7 cgroups"""
    return _named(name)


def _named(name: str) -> Cgroup:
    from labcontainer.kernel.cgroup import v1, v2

    if not name or "/" in name or name in (".", ".."):
        raise UsageError("cgroup", name, "it must be one directory's name")
    found = hosts.host()
    bases = found.bases()
    unified = bases.pop("", None)
    if bases:
        places = {controller: base / name for controller, base in bases.items()}
        return Cgroup(name, v1.Controllers(places), unified / name if unified else None)
    assert unified is not None
    v2.enable_controllers(unified, found.v2 or unified)
    return Cgroup(name, v2.Controllers(unified / name), unified / name)


def _make(directory: Path) -> None:
    try:
        file.mkdir(directory)
    except KernelError as error:
        if error.errno == errno.ENOENT:
            _make(directory.parent)
            file.mkdir(directory)
        elif error.errno != errno.EEXIST:
            raise


def _rmdir(directory: Path) -> None:
    for attempt in range(_REMOVE_TRIES):
        try:
            file.rmdir(directory)
            return
        except KernelError as error:
            if error.errno == errno.ENOENT:
                return
            if error.errno != errno.EBUSY or attempt == _REMOVE_TRIES - 1:
                raise
            time.sleep(_REMOVE_PAUSE_S)


def _tree(top: Path) -> list[Path]:
    """`top` and every cgroup below it, parents first."""
    return [Path(place) for place, _, _ in os.walk(top)]


def _procs(place: Path) -> list[int]:
    try:
        return [int(line) for line in file.read(place / "cgroup.procs").split()]
    except KernelError:
        return []  # removed meanwhile
