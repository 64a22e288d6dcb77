"""All that is known of a container under docker's field names: what ``lab inspect`` prints and ``attrs`` holds.

What is in it comes from the files of the container's directory (container.json, request.json, config.json, state.json)
and from the Linux kernel. Left out are docker's fields for Windows, and those that it no longer fills.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labcontainer.engine import host_config, options, record, sizes, summary
from labcontainer.engine.summary import Summary
from labcontainer.errors import LabError
from labcontainer.image.image import Image
from labcontainer.runtime import log
from labcontainer.runtime.life import Status
from labcontainer.runtime.request import Health, Request

if TYPE_CHECKING:
    from labcontainer.engine.engine import Engine

_NEVER = "0001-01-01T00:00:00Z"
_RUNS = (Status.RUNNING, Status.PAUSED, Status.RESTARTING)


def container(engine: Engine, directory: Path, *, size: bool = False) -> dict[str, Any]:
    """The container in `directory`; with `size` what it takes up on the disk, too. Raises: NotFound, SpecError."""
    each = summary.of(directory)
    asked, request = each.record, record.read_request(directory)
    spec = _spec(directory)
    found: dict[str, Any] = {
        "Id": each.id,
        "Created": log.timestamp(asked.created_ns),
        "Path": asked.command[0],
        "Args": list(asked.command[1:]),
        "State": _state(each, request),
        "Image": asked.image_id,
        **_names(each, spec),
        "LogPath": "" if request.log is None else str(directory / log.NAME),
        "Name": f"/{asked.name}",
        "RestartCount": each.state.restarts,
        "Driver": "overlay",
        "Platform": "linux",
        "ExecIDs": None,
        "HostConfig": host_config.of(each, request, spec),
        "GraphDriver": _graph_driver(directory, request),
        "Mounts": each.mounts(),
        "Config": _config(engine, each, request, spec),
        "NetworkSettings": _network(each),
    }
    if size:
        found["SizeRw"], found["SizeRootFs"] = sizes.container_bytes(engine, each)
    return found


def _names(each: Summary, spec: Mapping[str, Any]) -> dict[str, str]:
    """Where the container's /etc/hosts and its kind are; what somebody else has mounted there is not ours."""
    fields = {"/etc/resolv.conf": "ResolvConfPath", "/etc/hostname": "HostnamePath", "/etc/hosts": "HostsPath"}
    sources = {mount.get("destination"): str(mount.get("source", "")) for mount in spec.get("mounts", ())}
    return {field: sources.get(place, "") for place, field in fields.items()}


def _spec(directory: Path) -> dict[str, Any]:
    try:
        spec = json.loads((directory / "config.json").read_text())
    except (OSError, ValueError):
        return {}
    return spec if isinstance(spec, dict) else {}


def _state(each: Summary, request: Request) -> dict[str, Any]:
    now = each.state
    lives = now.init is not None and now.init.alive()
    found = {
        "Status": each.status,
        "Running": now.status in _RUNS,
        "Paused": now.status is Status.PAUSED,
        "Restarting": now.status is Status.RESTARTING,
        "OOMKilled": now.oom_killed,
        "Dead": False,
        "Pid": now.init.pid if now.init and lives else 0,
        "ExitCode": now.exit_code or 0,
        "Error": now.error,
        "StartedAt": _moment(now.started_ns),
        "FinishedAt": _moment(now.finished_ns),
    }
    # As docker has it: what was never started has no health yet.
    return {**found, "Health": _health(each.directory)} if request.health and now.started_ns else found


def _moment(ns: int | None) -> str:
    return _NEVER if ns is None else log.timestamp(ns)


def _health(directory: Path) -> dict[str, Any]:
    try:
        known = json.loads((directory / "health.json").read_text())
        checks = [{**one, "Start": _time(one["Start"]), "End": _time(one["End"])} for one in known["Log"]]
        return {**known, "Log": checks}
    except (OSError, ValueError, KeyError, TypeError):
        return {"Status": "starting", "FailingStreak": 0, "Log": []}  # nothing was checked yet


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _graph_driver(directory: Path, request: Request) -> dict[str, Any]:
    return {
        "Name": "overlay",
        "Data": {
            "LowerDir": ":".join(request.lowerdirs),
            "MergedDir": str(directory / "rootfs"),
            "UpperDir": str(directory / "upper"),
            "WorkDir": str(directory / "work"),
        },
    }


def _config(engine: Engine, each: Summary, request: Request, spec: Mapping[str, Any]) -> dict[str, Any]:
    asked, process = each.record, spec.get("process", {})
    settings, image = asked.settings, _image(engine, asked.image_id)
    defaults = image.config.config if image else None
    given = options.words(settings.get("entrypoint"))
    entrypoint = given if given is not None else defaults.entrypoint if defaults else ()
    cwd = process.get("cwd", "/")
    found: dict[str, Any] = {
        "Hostname": spec.get("hostname", ""),
        "Domainname": str(settings.get("domainname") or ""),
        "User": str(settings.get("user") or (defaults.user if defaults else "") or ""),
        **{f"Attach{name.capitalize()}": name in settings.get("attach", ()) for name in ("stdin", "stdout", "stderr")},
        "Tty": bool(process.get("terminal")),
        "OpenStdin": request.interactive,
        "StdinOnce": request.stdin_once,
        "Env": _environment(spec.get("hostname", ""), process.get("env", ())),
        "Cmd": list(asked.command[len(entrypoint) :]) or None,
        "Image": asked.image,
        "Volumes": dict(defaults.volumes) or None if defaults else None,
        "WorkingDir": cwd if cwd != "/" else str(settings.get("working_dir") or ""),
        "Entrypoint": list(entrypoint) or None,
        "OnBuild": None,
        "Labels": dict(asked.labels),
        "StopSignal": asked.stop_signal,
        "StopTimeout": int(asked.stop_timeout_s) if asked.stop_timeout_s % 1 == 0 else asked.stop_timeout_s,
    }
    if defaults and defaults.exposed_ports:
        found["ExposedPorts"] = dict(defaults.exposed_ports)
    return {**found, "Healthcheck": _check(request.health)} if request.health else found


def _image(engine: Engine, image_id: str) -> Image | None:
    try:
        return engine.store.resolve(image_id)
    except LabError:
        return None


def _environment(hostname: str, variables: Sequence[str]) -> list[str]:
    """What image and user have set: not what every container has."""
    ours = {f"HOSTNAME={hostname}", "HOME=/root", "TERM=xterm"}
    return [text for text in variables if text not in ours]


def _check(health: Health) -> dict[str, Any]:
    shell = health.command[:2] == ("/bin/sh", "-c")
    return {
        "Test": ["CMD-SHELL", *health.command[2:]] if shell else ["CMD", *health.command],
        "Interval": round(health.interval_s * 10**9),
        "Timeout": round(health.timeout_s * 10**9),
        "StartPeriod": round(health.start_period_s * 10**9),
        "StartInterval": round(health.start_interval_s * 10**9),
        "Retries": health.retries,
    }


def _network(each: Summary) -> dict[str, Any]:
    init = each.state.init
    pid = init.pid if init and init.alive() else None
    addresses: dict[str, Any] = {"Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "MacAddress": ""}
    return {
        "SandboxKey": f"/proc/{pid}/ns/net" if pid else "",
        "Ports": {},
        **addresses,
        "Networks": {each.network: {"Links": None, "Aliases": None, "NetworkID": "", "EndpointID": "", **addresses}},
    }
