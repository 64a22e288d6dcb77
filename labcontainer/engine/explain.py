"""A container's start as a list of calls with their reasons, made from the same data that init will execute."""

from __future__ import annotations

from collections.abc import Sequence

from labcontainer.oci.runtime_spec import Process, Spec
from labcontainer.runtime import launch, resources
from labcontainer.runtime.steps import Step


def lines(spec: Spec, steps: Sequence[Step], cgroup: str | None) -> list[tuple[str, str]]:
    """(calls, why) in the order in which monitor and init do them."""
    assert spec.process is not None
    found: list[tuple[str, str]] = []
    if cgroup is not None:
        found.append((f'mkdir("…/labcontainer/{cgroup}")', "the limits must stand before the first instruction runs"))
        found += [(f"write({name}, {value})", "a limit that was asked for") for name, value in _limits(spec)]
    found.append((f"clone3({_flags(spec)})", "one call makes the child and its new namespaces"))
    if cgroup is not None:
        found.append(('write("tasks", 0)', "init moves itself: for the monitor to move it takes longer"))
    found += [(step.describe(), step.why) for step in steps]
    if spec.hostname:
        found.append((f'sethostname("{spec.hostname}")', "the UTS namespace starts as a copy of the host's"))
    return found + _privileges(spec, spec.process)


def _limits(spec: Spec) -> list[tuple[str, object]]:
    wanted = spec.linux.resources if spec.linux else None
    if wanted is None:
        return []
    return [(name, value) for name, value in resources.limits(wanted).given().items() if name != "devices"]


def _flags(spec: Spec) -> str:
    kinds = {namespace.type for namespace in spec.linux.namespaces} if spec.linux else set()
    return "|".join(flag.name or "" for kind, flag in launch.CLONE.items() if kind in kinds)


def _privileges(spec: Spec, process: Process) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if process.capabilities is not None:
        names = " ".join(name.removeprefix("CAP_").lower() for name in process.capabilities.bounding)
        found.append((f"capset({names or 'nothing'})", "root inside keeps only these of root's 41 capabilities"))
    user = process.user
    found.append((f"setresgid({user.gid}); setresuid({user.uid})", "the command runs as this user"))
    if process.no_new_privileges:
        found.append(("prctl(PR_SET_NO_NEW_PRIVS)", "no set-user-ID program gives privileges back"))
    if spec.linux and spec.linux.seccomp:
        found.append(("seccomp(SECCOMP_SET_MODE_FILTER)", "system calls that containers do not need are refused"))
    found.append((f"execve({' '.join(process.args)})", "from here on this process is the container's command"))
    return found
