"""docker's flags that are not served: each is refused with the reason, and with what to do instead.

A unit test compares: whatever ``docker run --help`` lists is served, or stands here.
"""

from __future__ import annotations

from typing import Any

import click

_NETWORKS = "networks come later; --network host shares the host's ports"
_VOLUMES = "named volumes come later; bind a directory with -v /on/the/host:/inside"
_WINDOWS = "it is for Windows alone"
_REAL_TIME = "Linux has no real-time groups in a kernel of today; give --cpus"

# Each flag with whether it takes a value, and why it is refused.
REFUSED = {
    "--publish": (True, _NETWORKS),
    "--publish-all": (False, _NETWORKS),
    "--expose": (True, _NETWORKS),
    "--ip": (True, _NETWORKS),
    "--ip6": (True, _NETWORKS),
    "--link": (True, _NETWORKS),
    "--link-local-ip": (True, _NETWORKS),
    "--mac-address": (True, _NETWORKS),
    "--network-alias": (True, _NETWORKS),
    "--volume-driver": (True, _VOLUMES),
    "--volumes-from": (True, _VOLUMES),
    "--storage-opt": (
        True,
        "a container's layer is a directory, whose size nothing limits; put it on a disk of its own",
    ),
    "--gpus": (True, "no GPU driver is asked; hand its devices in with --device"),
    "--use-api-socket": (False, "this engine has no socket to hand in yet"),
    "--disable-content-trust": (False, "no signature is checked, so there is nothing to switch off"),
    "--kernel-memory": (True, "Linux has given it up; --memory counts the kernel's memory, too"),
    "--cpu-rt-period": (True, _REAL_TIME),
    "--cpu-rt-runtime": (True, _REAL_TIME),
    "--cpu-count": (True, _WINDOWS),
    "--cpu-percent": (True, _WINDOWS),
    "--io-maxbandwidth": (True, _WINDOWS),
    "--io-maxiops": (True, _WINDOWS),
    "--isolation": (True, _WINDOWS),
}
_SHORT = {"--publish": "-p", "--publish-all": "-P"}


def _refuse(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value not in (None, (), False):
        flag = next(name for name in parameter.opts if name.startswith("--"))
        raise click.UsageError(f"{flag}: {REFUSED[flag][1]}")


FLAGS = tuple(
    click.option(
        *([_SHORT[flag]] if flag in _SHORT else []), flag, multiple=takes_value, is_flag=not takes_value,
        expose_value=False, hidden=True, callback=_refuse,
    )
    for flag, (takes_value, _) in REFUSED.items()
)  # fmt: skip
