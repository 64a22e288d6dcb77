"""The façade: ``labcontainer.from_env()`` and what hangs on it. Shaped and named like docker-py."""

from labcontainer.engine.container import Container
from labcontainer.engine.engine import Engine, Trace, default_directories, from_env

__all__ = ["Container", "Engine", "Trace", "default_directories", "from_env"]
