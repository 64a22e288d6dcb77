"""The layer of lab/python: the interpreter that runs us, and its standard library.

A virtual environment is traced to the Python it was made from. What lies in /usr stays there; any other prefix (pyenv,
conda, a build of one's own) moves to /usr/local, since it may be under a home directory that only root of the container
may enter. Python finds its library beside its program, so that needs no setting.

Left out: compiled files (they name the time of a source that has become 1970), the tests, idle and its kind, tkinter,
installed packages.
"""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from labcontainer.errors import HostError, NotFound
from labcontainer.image.host_tree import HostTree
from labcontainer.image.layer import Link, Tree

_LEFT_OUT = frozenset(
    {
        "__pycache__", "dist-packages", "ensurepip", "idlelib", "idle_test", "lib2to3", "pydoc_data", "site-packages",
        "test", "tests", "tkinter", "turtledemo",
    }
)  # fmt: skip
_LEFT_OUT_BEGINS = ("config-", "_test", "_ctypes_test", "_tkinter", "_xxtestfuzz", "xxlimited", "turtle.py")
_LEFT_OUT_ENDS = (".pyc", ".a", ".o", ".whl")


def tree(below: Tree) -> Tree:
    """What is in lab/python and not in the layer `below` it.

    Raises: HostError where the interpreter or its library cannot be read.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    prefix = Path(sys.base_prefix)
    new_prefix = Path("/usr") if prefix == Path("/usr") else Path("/usr/local")
    found = HostTree(below, None if prefix == new_prefix else (prefix, new_prefix))
    try:
        found.add_program(_executable(prefix, version))
        for path in _library():
            if path.suffix == ".so":
                with contextlib.suppress(NotFound):  # a module whose library the host lacks fails there, too
                    found.add_program(path)
            elif os.access(path, os.R_OK):
                found.add(path)
    except NotFound as error:
        raise HostError("lab/python", reason=str(error)) from None
    for name, target in ((version, None), ("python3", version), ("python", "python3")):
        if target:
            found.put(f"{new_prefix}/bin/{name}", Link(target))
    return found.entries


def _executable(prefix: Path, version: str) -> Path:
    candidates = (prefix / "bin" / version, Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable))))
    for path in candidates:
        if os.access(path, os.R_OK | os.X_OK):
            return path
    raise HostError("lab/python", reason=f"{candidates[0]} cannot be read")


def _library() -> Iterator[Path]:
    names = {"base": sys.base_prefix, "installed_base": sys.base_prefix, "platbase": sys.base_exec_prefix,
             "installed_platbase": sys.base_exec_prefix}  # fmt: skip
    roots = {sysconfig.get_path(kind, vars=names) for kind in ("stdlib", "platstdlib")}
    for root in sorted(roots):
        if not os.path.isfile(f"{root}/os.py") and root == sysconfig.get_path("stdlib", vars=names):
            raise HostError("lab/python", reason=f"no standard library at {root}")
        for directory, below, files in os.walk(root):
            below[:] = sorted(name for name in below if not _is_left_out(name))
            yield from (Path(directory) / name for name in sorted(files) if not _is_left_out(name))


def _is_left_out(name: str) -> bool:
    return name in _LEFT_OUT or name.startswith(_LEFT_OUT_BEGINS) or name.endswith(_LEFT_OUT_ENDS)
