"""The options that ``lab run``, ``lab create`` and ``lab explain run`` share: docker's flags, docker-py's names.

Each subject has a table of its own: what it is called and what it does (here), what limits it (`limits`), when it ends
(`upkeep`), and docker's flags that are not here, with the reason (`later`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from labcontainer.cli import later, limits, upkeep

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _several(*names: str, metavar: str, help: str) -> Callable[[F], F]:
    return click.option(*names, multiple=True, metavar=metavar, help=help)


_PROCESS = (
    click.option("--rm", "remove", is_flag=True, help="Remove the container when it has ended."),
    click.option("-i", "--interactive", "stdin_open", is_flag=True, help="Pass stdin on."),
    click.option("-t", "--tty", "tty", is_flag=True, help="Give it a terminal."),
    _several("-e", "--env", "environment", metavar="NAME=VALUE", help="Set a variable."),
    click.option("--env-file", "env_files", multiple=True, type=_FILE, help="Set the variables of a file."),
    click.option("-w", "--workdir", "working_dir", help="Working directory inside."),
    click.option("-u", "--user", "user", metavar="NAME|UID[:GROUP]", help="Run as this user of the image."),
    _several("--group-add", "group_add", metavar="NAME|GID", help="A further group."),
    click.option("--name", "name", help="A name for the container."),
    click.option("--entrypoint", "entrypoint", help="Run this instead of the image's entrypoint."),
    _several("-l", "--label", "labels", metavar="NAME=VALUE", help="Set metadata."),
    click.option("--label-file", "label_files", multiple=True, type=_FILE, help="Set the metadata of a file."),
    _several("--annotation", "annotations", metavar="NAME=VALUE", help="Metadata for the OCI runtime."),
    click.option("--init", "init", is_flag=True, help="A PID 1 that waits for orphans and passes signals on."),
)
_NAMES = (
    click.option("-h", "--hostname", "hostname", help="Host name inside."),
    click.option("--domainname", "domainname", help="NIS domain name inside."),
    _several("--add-host", "extra_hosts", metavar="NAME:ADDRESS", help="A line of /etc/hosts."),
    _several("--dns", "dns", metavar="ADDRESS", help="A name server, in /etc/resolv.conf."),
    _several("--dns-search", "dns_search", metavar="DOMAIN", help="A domain to look names up in."),
    _several("--dns-option", "--dns-opt", "dns_opt", metavar="OPTION", help="An option of the resolver."),
)
_NAMESPACES = (
    click.option(
        "--network", "--net", "network_mode", default="none", show_default=True, metavar="none|host|container:ID"
    ),
    click.option("--pid", "pid_mode", metavar="host|container:ID", help="Whose processes it sees."),
    click.option("--ipc", "ipc_mode", metavar="private|none|shareable|host|container:ID", help="Whose IPC it uses."),
    click.option("--uts", "uts_mode", metavar="host", help="The host's names."),
    click.option("--userns", "userns_mode", metavar="host", help="The host's users (root's default)."),
    click.option("--cgroupns", "cgroupns", metavar="private|host", help="What it sees of its cgroup's path."),
    click.option("--cgroup-parent", "cgroup_parent", metavar="PATH|SLICE", help="The cgroup above its own."),
)
_FILES = (
    click.option("--read-only", "read_only", is_flag=True, help="Mount the root read-only."),
    _several("-v", "--volume", "volumes", metavar="/HOST:/INSIDE[:ro,…]", help="Bind a host path."),
    _several("--mount", "mounts", metavar="type=bind|tmpfs,target=…", help="The same in docker's long form."),
    _several("--tmpfs", "tmpfs", metavar="/INSIDE[:size=64m,…]", help="A directory in memory."),
    click.option("--shm-size", "shm_size", metavar="SIZE", help="Size of /dev/shm: 64m is usual."),
    _several("--device", "devices", metavar="/HOST[:/INSIDE][:rwm]", help="A device, or a directory of them."),
    _several("--device-cgroup-rule", "device_cgroup_rules", metavar="'c 10:* rwm'", help="Devices it may use."),
)
_SECURITY = (
    _several("--cap-add", "cap_add", metavar="NAME", help="Add a capability (ALL: every one)."),
    _several("--cap-drop", "cap_drop", metavar="NAME", help="Drop a capability."),
    click.option("--privileged", "privileged", is_flag=True, help="All capabilities, no filter, no masks."),
    _several(
        "--security-opt", "security_opt", help="What else it may do.",
        metavar="no-new-privileges|seccomp=unconfined|seccomp=FILE|systempaths=unconfined|writable-cgroups=true",
    ),
    _several("--ulimit", "ulimits", metavar="NAME=SOFT[:HARD]", help="What one process may use: nofile=1024."),
    _several("--sysctl", "sysctls", metavar="NAME=VALUE", help="A setting of its own namespaces: net.*, kernel.shm*."),
)  # fmt: skip
_SOURCE = (
    click.option("--pull", "pull", type=click.Choice(["always", "missing", "never"]), help="Fetch the image before."),
    click.option("-q", "--quiet", "quiet", is_flag=True, help="Say nothing of fetching."),
    click.option("--platform", "platform", metavar="linux/amd64", help="What the image must be made for."),
    click.option("--runtime", "runtime", metavar="labcontainer", help="Who runs it."),
)
FLAGS = (
    *_PROCESS, *_NAMES, *limits.FLAGS, *_NAMESPACES, *_FILES, *_SECURITY, *upkeep.FLAGS, *_SOURCE, *later.FLAGS,
)  # fmt: skip


def container_options(function: F) -> F:
    """Give a click command all of the flags above."""
    for option in reversed(FLAGS):
        function = option(function)
    return function


def settings(given: dict[str, Any]) -> dict[str, Any]:
    """click's parameters as keyword arguments of ``engine.containers.create``. Raises: click.UsageError."""
    # A 0 was typed by somebody: it must not be taken for a flag that was left out.
    chosen = {name: value for name, value in given.items() if value not in (None, ()) and value is not False}
    limits.rename(chosen)
    upkeep.rename(chosen)
    chosen["environment"] = [*variables(chosen.pop("env_files", ())), *chosen.get("environment", ())]
    labels = [*_lines(chosen.pop("label_files", ())), *chosen.pop("labels", ())]
    chosen["labels"] = dict(text.partition("=")[::2] for text in labels)
    chosen.pop("quiet", None)
    if chosen.pop("pull", "missing") == "always":
        raise click.UsageError(
            "--pull always: there is no registry client yet; bring the image with skopeo copy … oci:"
        )
    if chosen.get("entrypoint") is not None:
        # One word, as in docker: what it takes follows the image. An empty one takes the image's away.
        chosen["entrypoint"] = [chosen["entrypoint"]] if chosen["entrypoint"] else []
    if "security_opt" in chosen:
        chosen["security_opt"] = [_with_policy(text) for text in chosen["security_opt"]]
    return chosen


def variables(files: Iterable[Path]) -> list[str]:
    """The variables of ``--env-file``s: one a line, ``NAME=value`` or ``NAME`` for the caller's; # begins a comment."""
    return list(_lines(files))


def _lines(files: Iterable[Path]) -> Iterable[str]:
    for path in files:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            raise click.UsageError(f"{path}: {error}") from None
        for line in text.splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield line.lstrip()


def _with_policy(text: str) -> str:
    """A seccomp policy is named by its file, and handed on as what is in it, as docker does it."""
    name, value = text[:7], text[8:]
    if name != "seccomp" or text[7:8] not in ("=", ":") or value in ("unconfined", "builtin"):
        return text
    try:
        return "seccomp=" + json.dumps(json.loads(Path(value).read_text()))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--security-opt {text}: no seccomp policy: {error}") from None
