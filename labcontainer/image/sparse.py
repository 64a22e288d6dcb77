"""Holes in a tar: four ways in which an archive says which parts of a file are in it.

    old GNU   a header of type S: pairs of numbers in the header itself, and in blocks after it
    pax 0.0   GNU.sparse.offset and GNU.sparse.numbytes again and again, a pair a piece
    pax 0.1   GNU.sparse.map: "0,512,4096,512"
    pax 1.0   the map stands in front of the content: "2\\n0\\n512\\n4096\\n512\\n", filled up to a block

See: GNU tar manual, Appendix "Storing Sparse Files"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

from labcontainer.errors import SpecError

# A piece of content for each block of a file of 512 MiB: nobody's tar writes more, and each costs memory here.
_MOST_PIECES = 1 << 20
_LARGEST_FILE = 1 << 62

Pieces = tuple[tuple[int, int], ...]


def collect(records: dict[str, bytes], key: str, value: bytes) -> None:
    """Put a pax record to the others; pax 0.0 repeats its keys, and the order counts."""
    if key in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
        records["GNU.sparse.map"] = records["GNU.sparse.map"] + b"," + value if "GNU.sparse.map" in records else value
    else:
        records[key] = value


def pax(records: Mapping[str, bytes], block: Callable[[], bytes]) -> tuple[str, int, Pieces] | None:
    """A sparse file's name, size and pieces, None for any other file. `block` is the next block of its content.

    Raises: SpecError.
    """
    size = records.get("GNU.sparse.realsize") or records.get("GNU.sparse.size")
    name = records.get("GNU.sparse.name", b"").decode("utf-8", "surrogateescape")
    if size is None:
        return None
    if records.get("GNU.sparse.major") == b"1":
        return name, *_checked(_number(size), _leading(block))
    given = records.get("GNU.sparse.map", b"")
    numbers = [_number(each) for each in given.split(b",")] if given else []
    return name, *_checked(_number(size), numbers)


def old_gnu(header: bytes, block: Callable[[], bytes]) -> tuple[int, Pieces]:
    """The size and pieces of an entry of type S. `block` is the next block after the header. Raises: SpecError."""
    numbers = _pairs(header[386:482])
    more = header[482]
    while more:
        following = block()
        numbers += _pairs(following[:504])
        more = following[504]
        if len(numbers) > 2 * _MOST_PIECES:
            raise SpecError(f"its map has more than {_MOST_PIECES} pieces")
    return _checked(_octal(header[483:495]), numbers)


def _leading(block: Callable[[], bytes]) -> list[int]:
    text = block()
    count, newline, _ = text.partition(b"\n")
    if not newline:
        raise SpecError("its map of holes does not begin with a number")
    wanted = 2 * _number(count) + 1
    if wanted > 2 * _MOST_PIECES + 1:
        raise SpecError(f"its map has more than {_MOST_PIECES} pieces")
    while text.count(b"\n") < wanted:
        text += block()
    return [_number(each) for each in text.split(b"\n")[1:wanted]]


def _pairs(data: bytes) -> list[int]:
    numbers = []
    for at in range(0, len(data) - 23, 24):
        if not data[at]:
            break
        numbers += [_octal(data[at : at + 12]), _octal(data[at + 12 : at + 24])]
    return numbers


def _checked(size: int, numbers: list[int]) -> tuple[int, Pieces]:
    if len(numbers) % 2 or len(numbers) > 2 * _MOST_PIECES:
        raise SpecError(f"its map of holes has {len(numbers)} numbers")
    pieces = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    if any(offset + length > following for (offset, length), (following, _) in pairwise(pieces)):
        raise SpecError("the pieces in its map of holes overlap")
    if not 0 <= size <= _LARGEST_FILE or (pieces and sum(pieces[-1]) > size):
        raise SpecError("its map of holes reaches beyond its size")
    return size, pieces


def _number(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise SpecError(f"its map of holes has {text[:30]!r}, which is no number")
    return int(text)


def _octal(field: bytes) -> int:
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b"\0 ") or b"0"
    if digits.strip(b"01234567"):
        raise SpecError(f"its map of holes has {field!r}, which is no number")
    return int(digits, 8)
