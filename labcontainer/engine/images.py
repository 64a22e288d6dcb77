"""``engine.images``: what can be run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labcontainer.errors import NotFound
from labcontainer.image import starter
from labcontainer.image.image import Image

if TYPE_CHECKING:
    from labcontainer.engine.engine import Engine


class Images:
    """The images of one engine; the starter images are made when the first of them is asked for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, name: str) -> Image:
        """The image of that reference, id, or beginning of an id. Raises: NotFound, InvalidReference."""
        try:
            return self._engine.store.resolve(name)
        except NotFound:
            if not name.startswith("lab/"):
                raise
        starter.ensure(self._engine.store)
        return self._engine.store.resolve(name)

    def list(self) -> list[Image]:
        """Every image, the starter images among them."""
        starter.ensure(self._engine.store)
        return list(self._engine.store.images())
