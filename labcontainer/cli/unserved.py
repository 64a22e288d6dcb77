"""docker's flags that ``lab`` does not serve, each with the reason; a test compares the rest with docker's own help.

    $ lab logs --details web
    Error: lab logs has no --details: never, because a log here keeps no attributes beside its lines

Those of ``run`` and ``create`` are with their options.
"""

from __future__ import annotations

import click

_REAL_TIME = "never, because version 2 of the cgroups has no such limit, and few kernels have version 1's"
_PLATFORM = {"--platform": "later, with images for several machines"}
_CRIU = "never, because checkpoints need CRIU"

FLAGS: dict[str, dict[str, str]] = {
    "history": _PLATFORM,
    "images": {"--tree": "later, with a tree of the layers that images share"},
    "image history": _PLATFORM,
    "image inspect": _PLATFORM,
    "image load": _PLATFORM,
    "image rm": _PLATFORM,
    "image save": _PLATFORM,
    "load": _PLATFORM,
    "logs": {"--details": "never, because a log here keeps no attributes beside its lines"},
    "rmi": _PLATFORM,
    "save": _PLATFORM,
    "rm": {"--link": "never, because docker itself has given links up"},
    "start": dict.fromkeys(("--checkpoint", "--checkpoint-dir"), _CRIU),
    "system prune": {"--volumes": "later, with volumes"},
    "update": dict.fromkeys(("--cpu-rt-period", "--cpu-rt-runtime"), _REAL_TIME),
}
_SHORT = {"-l": "--link"}


def explained(error: click.NoSuchOption) -> click.UsageError:
    """The error for a flag that docker would know, with the reason; any other as it is."""
    words: list[str] = []
    context = error.ctx
    while context and context.parent:
        words.insert(0, str(context.info_name))
        context = context.parent
    flag = _SHORT.get(error.option_name, error.option_name)
    # `lab container logs` is `lab logs`, `lab image ls` is `lab images`.
    for verb in (" ".join(words), " ".join(words[1:]), "images" if words[:1] == ["image"] else ""):
        if reason := FLAGS.get(verb, {}).get(flag):
            return click.UsageError(f"lab {' '.join(words)} has no {flag}: {reason}", error.ctx)
    return error
