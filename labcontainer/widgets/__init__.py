"""What a student sees and touches: widgets over what the Linux kernel says.

    CgroupDashboard(box)       limits that act while a container runs, beside what it uses
    DoctorCard(report)         what this machine can do, and the mend for what it cannot
    IsolationMatrix()          namespaces on and off; what a child in them sees, beside the host's view
    LifecycleView(container)   its state diagram with verbs that act, and a time line of what has happened to it
    OverlayBench()             layers, upperdir and merged, side by side, over a real overlay
    Terminal(container, "sh")  a terminal in the container: attached to it, or for one more command
    TraceView(events)          every system call by process and time, down to its line of source

Each is three files: a view model (`isolation_model`), pure and tested without a browser; a thin anywidget
(`isolation`) that hands the model's view to the browser and the browser's commands to Python; its script and style in
``src/``, bundled into ``static/``. Whatever a mouse can do is a method, too. The classes load ipywidgets, so they are
imported when they are first named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labcontainer.widgets.dashboard import CgroupDashboard
    from labcontainer.widgets.doctor import DoctorCard
    from labcontainer.widgets.isolation import IsolationMatrix
    from labcontainer.widgets.lifecycle import LifecycleView
    from labcontainer.widgets.overlay import OverlayBench
    from labcontainer.widgets.terminal import Terminal
    from labcontainer.widgets.tracing import TraceView

__all__ = ["CgroupDashboard", "DoctorCard", "IsolationMatrix", "LifecycleView", "OverlayBench", "Terminal", "TraceView"]

_HOMES = {
    "CgroupDashboard": "labcontainer.widgets.dashboard",
    "DoctorCard": "labcontainer.widgets.doctor",
    "IsolationMatrix": "labcontainer.widgets.isolation",
    "LifecycleView": "labcontainer.widgets.lifecycle",
    "OverlayBench": "labcontainer.widgets.overlay",
    "Terminal": "labcontainer.widgets.terminal",
    "TraceView": "labcontainer.widgets.tracing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
