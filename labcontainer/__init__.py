"""A container engine in Python that shows how it is done, and the course that is built on it.

    >>> import labcontainer
    >>> engine = labcontainer.from_env()
    >>> engine.containers.run("lab/base", "hostname", hostname="hello", remove=True)
    b'hello\\n'

Importing this package imports nothing else: names are fetched when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "from_env": "labcontainer.engine",
    "Engine": "labcontainer.engine",
    "expect": "labcontainer.lessons",
    "load_ipython_extension": "labcontainer.lessons.magics",
}

if TYPE_CHECKING:
    from labcontainer.engine import Engine, from_env
    from labcontainer.lessons import expect
    from labcontainer.lessons.magics import load_ipython_extension

__all__ = ["Engine", "__version__", "expect", "from_env", "load_ipython_extension"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'labcontainer' has no attribute {name!r}")
