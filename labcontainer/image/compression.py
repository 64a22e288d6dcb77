"""Compressed layers: gzip when writing, whatever its first bytes say when reading."""

from __future__ import annotations

import gzip
import io
from typing import BinaryIO, cast

from labcontainer.errors import HostError

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
# Level 1 takes a third of the time of the default 6 and a tenth more space: starter images never travel far.
_LEVEL = 1


def reader(layer: BinaryIO) -> BinaryIO:
    """The uncompressed content of `layer`. Closing it does not close `layer`.

    The first bytes decide, not the media type: tools have been writing the wrong one for years.

    Raises: HostError for zstd. See: image-spec v1.1.0 layer.md#gzip-media-types, RFC 1952
    """
    start = layer.read(len(_ZSTD))
    whole = cast(BinaryIO, io.BufferedReader(_Joined(start, layer)))
    if start.startswith(_GZIP):
        return cast(BinaryIO, gzip.GzipFile(fileobj=whole, mode="rb"))
    if start == _ZSTD:
        raise HostError("zstd layers", reason="this version reads plain and gzipped layers only")
    return whole


def writer(target: BinaryIO) -> gzip.GzipFile:
    """A compressor into `target` that writes the same bytes for the same content: no name, no time.

    See: image-spec v1.1.0 layer.md#gzip-media-types, RFC 1952
    """
    return gzip.GzipFile(filename="", fileobj=target, mode="wb", compresslevel=_LEVEL, mtime=0)


class _Joined(io.RawIOBase):
    """`start`, then what is left of `rest`: the first bytes have been read to be looked at."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._start = start
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._start or self._rest.read(len(buffer))
        self._start = b""
        buffer[: len(data)] = data
        return len(data)
