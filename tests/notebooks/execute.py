"""Run lessons, and write them back as they are committed.

    python -m tests.notebooks.execute notebooks/02-*.ipynb

What is kept: the outputs of one run from top to bottom, by a student called ``reader``. What is taken out: the views of
widgets (without their state a page would show an error in their place; the static form beside them stays), the times of
execution, and whatever an editor has added.

An isolation matrix shows the processes, mounts and cgroups of the machine. So that these are not its owner's, root runs
its lesson in new namespaces: alone, without what is mounted for people's own use, and at the root of the cgroup tree.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from labcontainer.kernel import mount, proc

STUDENT = "reader"
FOR_PEOPLE = ("/home/", "/media/", "/mnt/", "/srv/")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def run(notebook: NotebookNode, home: Path, *, student: str = STUDENT, timeout_s: int = 60) -> NotebookNode:
    """Run `notebook` in a fresh notebook kernel, whose engine and settings are below `home`; returns it with outputs.

    Raises: nbclient.exceptions.CellExecutionError.
    """
    client = NotebookClient(
        notebook, timeout=timeout_s, kernel_name="python3", store_widget_state=False, coalesce_streams=True
    )
    # Not execute(), which would leave its event loop open behind it.
    asyncio.run(client.async_execute(env={**os.environ, **private(home), "LAB_STUDENT": student}, cwd=str(home)))
    until_cleared(home)
    return notebook


def until_cleared(home: Path, seconds: float = 60) -> None:
    """Wait for the janitor of a lab below `home`, who may have containers to end."""
    deadline = time.monotonic() + seconds
    while any((home / "root" / "lessons").glob("*")) and time.monotonic() < deadline:
        time.sleep(0.05)


def private(home: Path) -> Mapping[str, str]:
    """The environment of a notebook kernel that shares nothing with the person who runs it."""
    places = {
        "JUPYTER_CONFIG_DIR": "jupyter",
        "JUPYTER_DATA_DIR": "jupyter",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
        "LABCONTAINER_ROOT": "root",
        "LABCONTAINER_RUN": "run",
    }
    return {"LAB_STUDENT": STUDENT, **{name: str(home / place) for name, place in places.items()}}


def normal(notebook: NotebookNode) -> NotebookNode:
    """`notebook` in the form in which it is committed."""
    notebook.metadata = nbformat.from_dict(METADATA)  # type: ignore[no-untyped-call]
    for cell in notebook.cells:
        cell.metadata = {key: value for key, value in cell.metadata.items() if key == "tags"}
        for output in cell.get("outputs", ()):
            output.get("metadata", {}).clear()
            output.get("data", {}).pop(WIDGET_VIEW, None)
    return notebook


def alone(path: Path) -> None:
    """Execute and rewrite `path` where nothing of this machine's owner is to be seen. Needs: root."""
    new = ["--mount", "--pid", "--fork", "--mount-proc", "--cgroup", "--kill-child"]
    python = [sys.executable, "-c", f"from tests.notebooks.execute import *; clear_up(); rewrite(Path({str(path)!r}))"]
    subprocess.run(["unshare", *new, *python], check=True)


def clear_up() -> None:
    """Take away what is mounted for people's own use, in this mount namespace."""
    for each in reversed(proc.mountinfo()):
        if each.target.startswith(FOR_PEOPLE):
            mount.umount2(each.target, mount.UmountFlag.MNT_DETACH)


def rewrite(path: Path) -> None:
    """Execute and rewrite `path`."""
    with tempfile.TemporaryDirectory(prefix="lesson-") as home:
        notebook = run(nbformat.read(path, as_version=4), Path(home))  # type: ignore[no-untyped-call]
    nbformat.write(normal(notebook), path)  # type: ignore[no-untyped-call]


def main() -> None:
    """Execute and rewrite each notebook in argv."""
    for path in map(Path, sys.argv[1:]):
        if os.geteuid() == 0 and "IsolationMatrix(" in path.read_text():
            alone(path)
        else:
            rewrite(path)


if __name__ == "__main__":
    main()
