"""What ``logs(stream=True)`` and ``events()`` return: an iterator that any thread may close, docker-py's
CancellableStream."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar

from labcontainer.runtime.changes import Changes

T = TypeVar("T")
U = TypeVar("U")


class Stream(Iterator[T], Generic[T]):
    """Items as they come. Iterating waits for the next; `close`, or the end of a ``with``, ends the iteration."""

    def __init__(self, items: Generator[T, None, None], changes: Changes) -> None:
        self._items = items
        self._changes = changes

    def __next__(self) -> T:
        return next(self._items)

    def __enter__(self) -> Stream[T]:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def map(self, function: Callable[[Iterator[T]], Generator[U, None, None]]) -> Stream[U]:
        """A stream of what `function` makes of these items."""
        return Stream(function(self._items), self._changes)

    def close(self) -> None:
        """End it: whoever waits for the next item gets StopIteration."""
        self._changes.cancel()
        # Another thread that is inside ends by itself, now that it is told to.
        with contextlib.suppress(ValueError):
            self._items.close()
