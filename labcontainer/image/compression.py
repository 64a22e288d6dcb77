"""Compressed layers: gzip when writing, whatever its first bytes say when reading.

Both are done by libraries that let other threads run meanwhile. They are imported where they are used: a container
starts without them.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO, cast

from labcontainer.errors import SpecError
from labcontainer.oci import media_types

if TYPE_CHECKING:
    import gzip

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
# zstd:chunked begins with a frame that decompressors skip; there are sixteen such numbers.
_ZSTD_SKIPPABLE = bytes(range(0x50, 0x60)), b"\x2a\x4d\x18"
# Quick rather than small: most layers never leave the machine.
_LEVEL = 1


class Plain:
    """The uncompressed content of a layer, to be read once. Closing it does not close the layer."""

    def __init__(self, stream: BinaryIO, damaged: tuple[type[Exception], ...] = ()) -> None:
        self._stream = stream
        self._damaged: tuple[type[Exception], ...] = (EOFError, *damaged)

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end. Raises: SpecError (damaged), OSError."""
        try:
            return self._stream.read(size)
        except self._damaged as error:
            raise SpecError(f"not a layer: {error}") from None
        except OSError as error:
            if error.errno is None:  # gzip.BadGzipFile
                raise SpecError(f"not a layer: {error}") from None
            raise

    def close(self) -> None:
        """Let go of the decompressor."""
        self._stream.close()


def reader(layer: BinaryIO) -> Plain:
    """The uncompressed content of `layer`.

    The first bytes decide, not the media type: tools have been writing the wrong one for years.

    See: image-spec v1.1.0 layer.md#gzip-media-types, RFC 1952, RFC 8878
    """
    start = layer.read(len(_ZSTD))
    whole = cast(BinaryIO, io.BufferedReader(_Joined(start, layer), 1 << 18))
    if start.startswith(_GZIP):
        from isal import igzip, isal_zlib

        damaged = cast(type[Exception], isal_zlib.error)
        return Plain(cast(BinaryIO, igzip.IGzipFile(fileobj=whole, mode="rb")), (damaged,))  # type: ignore[no-untyped-call]
    if start == _ZSTD or (start[:1] in _ZSTD_SKIPPABLE[0] and start[1:] == _ZSTD_SKIPPABLE[1]):
        import zstandard

        frames = zstandard.ZstdDecompressor().stream_reader(whole, read_across_frames=True, closefd=False)
        return Plain(cast(BinaryIO, frames), (zstandard.ZstdError,))
    return Plain(whole)


def media_type(start: bytes) -> str:
    """What a layer is called that begins with these four bytes. See: image-spec v1.1.0 media-types.md"""
    if start.startswith(_GZIP):
        return media_types.LAYER_GZIP
    return media_types.LAYER_ZSTD if start.startswith(_ZSTD) else media_types.LAYER


def writer(target: BinaryIO) -> gzip.GzipFile:
    """A compressor into `target` that writes the same bytes for the same content: no name, no time.

    See: image-spec v1.1.0 layer.md#gzip-media-types, RFC 1952
    """
    from isal import igzip

    file = igzip.IGzipFile("", "wb", _LEVEL, target, mtime=0)  # type: ignore[no-untyped-call]
    return cast("gzip.GzipFile", file)


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
