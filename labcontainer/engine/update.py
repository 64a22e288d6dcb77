"""``container.update()``: other limits for a container, whether it runs or not.

The new limits stand in three places, changed in this order: the live cgroup (which may refuse), the bundle's
config.json, from which the next start reads them, and the record of what was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labcontainer.engine import limits, record, upkeep
from labcontainer.engine.limits import Constraints
from labcontainer.engine.options import Options
from labcontainer.errors import HostError, LabError, UsageError
from labcontainer.oci.bundle import Bundle
from labcontainer.oci.resources import Resources
from labcontainer.oci.runtime_spec import Linux
from labcontainer.runtime import client, resources, state
from labcontainer.runtime.request import Restart

if TYPE_CHECKING:
    from labcontainer.engine.engine import Engine


def update(engine: Engine, directory: Path, settings: Mapping[str, Any]) -> None:
    """Change what `settings` (docker-py's keywords) name. Raises: UsageError, HostError, KernelError, NotFound."""
    change = {name: value for name, value in settings.items() if value is not None}
    if "oom_score_adj" in change:
        raise UsageError("oom-score-adj", change["oom_score_adj"], "a process gets it when it starts: make it anew")
    policy = change.pop("restart_policy", None)
    with engine.locked():
        asked = record.read(directory)
        told = {**asked.settings, **_joined(asked.settings, change)}
        if policy is not None:
            told["restart_policy"] = policy
            upkeep.check_removal(upkeep.restart(policy), remove=asked.remove)
        constraints = limits.parse({name: told[name] for name in limits.NAMES if name in told} | _unknown(change))
        if change:
            _limit(engine, directory, constraints)
        if policy is not None:
            _set_policy(directory, upkeep.restart(policy))
        record.write(directory, replace(asked, settings=told))


def _joined(before: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """A disk's new rate does not take the rates of other disks away."""
    return {
        name: [*before.get(name, ()), *new] if isinstance(new, list | tuple) else new for name, new in change.items()
    }


def _unknown(change: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in change.items() if name not in limits.NAMES}


def _limit(engine: Engine, directory: Path, constraints: Constraints) -> None:
    request, now = record.read_request(directory), state.observe(directory)
    lives = now.init is not None and now.init.alive()
    name = request.cgroup or engine.cgroup_name(directory.name, Options(constraints=constraints))
    if lives and now.cgroup is None and constraints.need_cgroup:
        raise HostError("limits for this container now", "stop it and start it again", "it runs without a cgroup")
    bundle = Bundle(directory)
    spec = bundle.read()
    linux = spec.linux or Linux()
    held = resources.update(
        now.cgroup if lives else None, linux.resources or Resources(), constraints.resources(), check_usage=True
    )
    bundle.write(replace(spec, linux=replace(linux, resources=held, cgroups_path=linux.cgroups_path or name)))
    if request.cgroup is None and name is not None:
        record.write_request(directory, replace(request, cgroup=name))


def _set_policy(directory: Path, policy: Restart) -> None:
    record.write_request(directory, replace(record.read_request(directory), restart=policy))
    try:
        connection = client.attach(directory)
    except OSError:
        return  # no monitor is there: the next one reads the request
    try:
        connection.ask("policy", "policy", policy=policy.policy, retries=policy.retries)
    except LabError:
        return  # it has just ended
    finally:
        connection.close()
