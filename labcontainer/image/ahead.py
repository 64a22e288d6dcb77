"""A stream read ahead by a thread of its own: it inflates and hashes while the reader makes files.

    layer ──► inflate ──► hash ──► [ a few chunks ] ──► read()
              in the thread                             here

Both libraries release the interpreter's lock, so two processors work at one layer. Memory: the chunks in between.
"""

from __future__ import annotations

import queue
import threading
from types import TracebackType

from labcontainer.image.tar import Source
from labcontainer.oci.digest import Hash

_CHUNK_BYTES = 1 << 19
_CHUNKS = 8


class Ahead:
    """`source`, read ahead from the beginning of the block on. When `read` returns none, `hasher` has seen it all."""

    def __init__(self, source: Source, hasher: Hash | None = None) -> None:
        self._source = source
        self._hasher = hasher
        self._chunks: queue.Queue[bytes | BaseException] = queue.Queue(_CHUNKS)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)
        self._over = False

    def __enter__(self) -> Ahead:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        # It may be waiting for room.
        while self._thread.is_alive():
            self._drop()
            self._thread.join(0.01)

    def read(self, size: int, /) -> bytes:
        """The next chunk, whatever its `size`; none at the end. Raises: what reading the source raised."""
        if self._over:
            return b""
        chunk = self._chunks.get()
        if isinstance(chunk, BaseException):
            self._over = True
            raise chunk
        self._over = not chunk
        return chunk

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                chunk = self._source.read(_CHUNK_BYTES)
                if self._hasher is not None:
                    self._hasher.update(chunk)
                self._chunks.put(chunk)
                if not chunk:
                    return
        except BaseException as error:  # noqa: BLE001  it is raised where the stream is read
            self._chunks.put(error)

    def _drop(self) -> None:
        while True:
            try:
                self._chunks.get_nowait()
            except queue.Empty:
                return
