"""One cgroup, whichever versions it is made of.

create ─▶ set(limits) ─▶ clone3(…, cgroup=directory_fd()) ─▶ enter, or add(pid) ─▶ … ─▶ kill ─▶ remove
                                                                   freeze ⇄ thaw
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from pathlib import Path
from typing import Protocol

from labcontainer.errors import KernelError
from labcontainer.kernel import file
from labcontainer.kernel.cgroup import host as hosts
from labcontainer.kernel.cgroup import hybrid, naming, tree, usage, v1, v2
from labcontainer.kernel.cgroup.limits import Limits
from labcontainer.kernel.cgroup.usage import Events, Pressure, Usage


class Controllers(Protocol):
    """What differs between the versions: `v1.Controllers` and `v2.Controllers`."""

    @property
    def directories(self) -> tuple[Path, ...]:
        """The directories beside version 2's."""
        ...

    def make(self) -> None:
        """Make what a new cgroup needs."""
        ...

    def find(self) -> None:
        """Take up what was made before."""
        ...

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
        """Begin to stop every process, or let them go on."""
        ...

    def frozen(self) -> bool:
        """Whether every process is stopped."""
        ...

    def freezer(self) -> Path | None:
        """The file that tells so."""
        ...


class Cgroup:
    """A cgroup by its name (see `naming`); the limits are `controllers`', the processes' fate is here."""

    def __init__(self, name: str, controllers: Controllers, unified: Path | None) -> None:
        self.name = name
        self._controllers = controllers
        self._unified = unified
        self._fd: int | None = None
        self._is_new = False

    @property
    def directories(self) -> tuple[Path, ...]:
        """Where the Linux kernel shows it: one directory in version 2, one for each controller in use in version 1.

        See: man 7 cgroups
        """
        return self._controllers.directories + ((self._unified,) if self._unified else ())

    def make(self) -> None:
        """Make the directories. Raises: KernelError. See: man 7 cgroups"""
        self._controllers.make()
        if self._unified:
            tree.make(self._unified)
        self._is_new = True

    def set(self, limits: Limits) -> None:
        """Write `limits`; what is None stays. Raises: KernelError, HostError (no such controller).
        See: man 7 cgroups"""
        before = self.directories
        self._controllers.set(limits)
        for joined in (directory for directory in self.directories if directory not in before):
            for pid in tree.processes(before[0]) if before else ():
                file.write(joined / "cgroup.procs", str(pid))

    def limits(self) -> Limits:
        """The limits as the Linux kernel has them. Raises: KernelError. See: man 7 cgroups"""
        return self._controllers.limits()

    def usage(self) -> Usage:
        """Memory, CPU time and processes now. Raises: KernelError. See: man 7 cgroups"""
        return self._controllers.usage()

    def events(self) -> Events:
        """How often limits were met. Raises: KernelError. See: man 7 cgroups"""
        return self._controllers.events()

    def pressure(self, resource: str) -> Pressure | None:
        """How long processes waited for ``memory``, ``cpu`` or ``io``; None where the host does not measure it.

        See: https://docs.kernel.org/accounting/psi.html
        """
        if self._unified is None:
            return None
        try:
            return usage.pressure(file.read(self._unified / f"{resource}.pressure"))
        except KernelError as error:
            if error.errno in (errno.ENOENT, errno.EOPNOTSUPP):
                return None
            raise

    def directory_fd(self) -> int | None:
        """A descriptor for clone3's CLONE_INTO_CGROUP, where version 2 is there. See: man 2 clone"""
        if self._unified is not None and self._fd is None:
            self._fd = os.open(self._home(self._unified), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._fd

    def add(self, pid: int) -> None:
        """Move process `pid` in; where it was born there by `directory_fd`, only the controllers of version 1 are left.

        On version 1 this may wait for 10 ms and more: see `enter`.

        Raises: KernelError (ESRCH, EACCES). See: man 7 cgroups
        """
        for directory in self._to_join():
            file.write(directory / "cgroup.procs", str(pid))

    def enter(self) -> None:
        """Move the calling process in, which has one thread; as for `add`, but nothing has to be waited for.

        To move a process whole, the Linux kernel stops every fork and exit on the machine, which takes a grace period
        of RCU: 10 ms and more. A thread that moves itself and no other needs no such lock, and a process with one
        thread is moved by that.

        Raises: KernelError (EACCES). See: man 7 cgroups (tasks), kernel/cgroup/cgroup.c cgroup_procs_write_start
        """
        first = self._controllers.directories
        for directory in self._to_join():
            # Version 2 moves single threads only inside of a threaded subtree.
            file.write(directory / ("tasks" if directory in first else "cgroup.procs"), "0")

    def pids(self) -> tuple[int, ...]:
        """The processes inside, those of nested cgroups too. Raises: KernelError. See: man 7 cgroups"""
        directories = self.directories
        return tuple(sorted(tree.processes(directories[-1]))) if directories else ()

    def freeze(self) -> None:
        """Stop every process inside and wait until they stand.

        Raises: KernelError (ETIMEDOUT: one is in a sleep that nothing interrupts). See: man 7 cgroups (freezer)
        """
        self._freeze(True)

    def thaw(self) -> None:
        """Let them go on. Raises: KernelError. See: man 7 cgroups (freezer)"""
        self._freeze(False)

    @property
    def frozen(self) -> bool:
        """Whether every process inside is stopped. Raises: KernelError. See: man 7 cgroups (freezer)"""
        return self._controllers.frozen()

    @property
    def freezer(self) -> Path | None:
        """The file that tells whether it is frozen, for `stands_still`; None where there is no freezer.

        See: man 7 cgroups (freezer)
        """
        return self._controllers.freezer()

    def kill(self) -> None:
        """Kill every process inside, forks that happen meanwhile too; an empty or missing cgroup is well.

        See: https://docs.kernel.org/admin-guide/cgroup-v2.html#core-interface-files (cgroup.kill)
        """
        if self._unified:
            try:
                file.write(self._unified / "cgroup.kill", "1")
                return
            except KernelError as error:
                if error.errno != errno.ENOENT:  # before Linux 5.14, or already removed
                    raise
        self._kill_each()

    def remove(self) -> None:
        """Remove the cgroup and those nested in it, waiting for processes that are just dying.

        Raises: KernelError (EBUSY: processes live in it). See: man 7 cgroups
        """
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        # Another process may have set limits, in hierarchies that this object has not joined.
        self._controllers.find()
        for directory in self.directories:
            tree.remove(directory)

    def _to_join(self) -> tuple[Path, ...]:
        first = self._controllers.directories
        if self._unified is None or self._fd is not None:  # None of version 2, or born inside of it
            return first
        return (*first, self._home(self._unified))

    def _home(self, unified: Path) -> Path:
        """Where in version 2 a process may stand: not in a cgroup that gives controllers to those inside it, as that
        of a container in which systemd runs; there it is with the processes that do.

        See: https://docs.kernel.org/admin-guide/cgroup-v2.html#no-internal-process-constraint
        """
        if self._is_new:
            return unified
        for place in tree.below(unified):
            with contextlib.suppress(KernelError):  # it was removed meanwhile
                stands = place == unified or file.read(place / "cgroup.procs")
                if stands and not file.read(place / "cgroup.subtree_control"):
                    return place
        return unified

    def _kill_each(self) -> None:
        # Frozen, nobody forks while we go through the list; version 1 lets the frozen die only once they are thawed.
        with contextlib.suppress(KernelError):
            self.freeze()
        self._signal_each()
        with contextlib.suppress(KernelError):
            self.thaw()
        tree.until(lambda: not self._signal_each())

    def _signal_each(self) -> bool:
        inside = self.pids()
        for pid in inside:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(inside)

    def _freeze(self, wanted: bool) -> None:
        self._controllers.freeze(wanted)
        if not tree.until(lambda: self.frozen is wanted):
            state = "stand still" if wanted else "go on"
            raise KernelError(errno.ETIMEDOUT, f"freeze(cgroup={self.name!r})", f"not every process would {state}")


def stands_still(freezer: Path) -> bool:
    """Whether the cgroup of that `Cgroup.freezer` is frozen, for one read(2); False where it is gone.

    See: man 7 cgroups (freezer)
    """
    try:
        text = file.read(freezer)
    except KernelError:
        return False
    return text == "FROZEN" or "frozen 1" in text.splitlines()


def create(name: str) -> Cgroup:
    """Make the cgroup `name` for a container, in every hierarchy that it needs; one that is there is taken as it is.

    Needs: root, or a delegated cgroup. Raises: HostError, KernelError, UsageError (see `naming`).
    See: man 7 cgroups
    """
    group = at(name)
    group.make()
    return group


def open(name: str) -> Cgroup:
    """The cgroup `name`, made before. Raises: HostError, UsageError. See: man 7 cgroups"""
    group = at(name)
    group._controllers.find()
    return group


def at(name: str) -> Cgroup:
    """The place of that name, which `make` makes a cgroup: below our base, or ``/from/the/top`` of the hierarchies.

    Raises: HostError with the command that delegates it; UsageError (see `naming`).
    See: runtime-spec v1.2.0 config-linux.md#cgroups-path
    """
    path, host = naming.path(name), hosts.host()
    if path.startswith("/"):
        places, top = host.places(path), Path(host.mounts[""].target if "" in host.mounts else "/")
    else:
        bases = host.bases()
        places, top = {controller: base / path for controller, base in bases.items()}, bases.get("", Path("/")).parent
    unified = places.pop("", None)
    second = v2.Controllers(unified, top) if unified else None
    if second is None:
        return Cgroup(name, v1.Controllers(places, alone=True), None)
    if not places:
        return Cgroup(name, second, unified)
    return Cgroup(name, hybrid.Controllers(v1.Controllers(places, alone=False), second), unified)
