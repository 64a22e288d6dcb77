"""What a lesson is written with: a bench of its own, predictions, experiments in children, exercises with a judge.

    >>> from labcontainer.lessons import Lab, expect, show
    >>> lab = Lab("02")
    >>> lab.predict("pid")                    # the answer comes before the explanation
    >>> lab.task("hostname")                  # the same task for the same student, another for the next
    >>> lab.check("hostname", box)            # judged by what the Linux kernel says of `box`

`magics` adds ``%%child``, ``%lab`` and ``%%container``. Names are fetched when they are first used, because ``expect``
is needed in small child processes that must not wait for ipywidgets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labcontainer.lessons.bench import Lab
    from labcontainer.lessons.cgroup_files import CgroupFiles
    from labcontainer.lessons.failure import expect
    from labcontainer.lessons.inside import look_inside
    from labcontainer.lessons.prediction import Prediction
    from labcontainer.lessons.source import show

__all__ = ["CgroupFiles", "Lab", "Prediction", "expect", "look_inside", "show"]

_WHERE = {
    "CgroupFiles": "labcontainer.lessons.cgroup_files",
    "Lab": "labcontainer.lessons.bench",
    "Prediction": "labcontainer.lessons.prediction",
    "expect": "labcontainer.lessons.failure",
    "look_inside": "labcontainer.lessons.inside",
    "show": "labcontainer.lessons.source",
}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
