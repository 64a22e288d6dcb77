"""Content addresses: the name of some bytes is their hash.

    >>> Digest.of(b"hello")
    sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824

A digest is parsed once, where it comes in, and from there on is a `Digest`, never a bare string. Lesson 05 teaches it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from labcontainer.errors import DigestMismatch, SpecError

# digest ::= algorithm ":" encoded;  algorithm ::= component (separator component)*;  separator ::= [+._-]
_GRAMMAR = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_HEX_LENGTH = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[a-f0-9]+")
_LONGEST = 256


class Hash(Protocol):
    """What hashlib's objects have in common."""

    def update(self, data: bytes, /) -> None:
        """Take `data` in."""
        ...

    def hexdigest(self) -> str:
        """The hash of all that was taken in."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """The hash `hex` of some content, by `algorithm`. See: image-spec v1.1.0 descriptor.md#digests"""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """``sha256:<64 hex digits>`` checked; an algorithm that is not registered passes if the grammar allows it.

        Raises: SpecError. See: image-spec v1.1.0 descriptor.md#digests
        """
        if len(text) > _LONGEST or not _GRAMMAR.fullmatch(text):
            raise SpecError(f"{text[:80]!r} is not a digest (sha256:… expected)")
        algorithm, _, encoded = text.partition(":")
        length = _HEX_LENGTH.get(algorithm)
        if length is not None and not (len(encoded) == length and _HEX.fullmatch(encoded)):
            raise SpecError(f"{text!r} is not a digest: {algorithm} has {length} lower case hexadecimal digits")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """The SHA-256 digest of `data`. See: image-spec v1.1.0 descriptor.md#sha-256"""
        hasher = new_hash("sha256")
        hasher.update(data)
        return cls("sha256", hasher.hexdigest())

    @property
    def short(self) -> str:
        """The first 12 digits, as docker shows an id."""
        return self.hex[:12]

    def hasher(self) -> Hash:
        """A new hash of this digest's algorithm. Raises: SpecError where the algorithm cannot be computed here.

        See: image-spec v1.1.0 descriptor.md#registered-algorithms
        """
        if self.algorithm not in _HEX_LENGTH:
            raise SpecError(f"cannot verify {self}: the algorithm {self.algorithm} is not known here")
        return new_hash(self.algorithm)

    def verify(self, data: bytes) -> bytes:
        """`data` itself, when it is what this digest names. Raises: DigestMismatch, SpecError.

        See: image-spec v1.1.0 descriptor.md#digests
        """
        hasher = self.hasher()
        hasher.update(data)
        self.check(hasher)
        return data

    def check(self, hasher: Hash) -> None:
        """That all which `hasher` took in is what this digest names. Raises: DigestMismatch.

        See: image-spec v1.1.0 descriptor.md#digests
        """
        if hasher.hexdigest() != self.hex:
            raise DigestMismatch(str(self), f"{self.algorithm}:{hasher.hexdigest()}")

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    def __repr__(self) -> str:
        return str(self)


def new_hash(algorithm: str = "sha256") -> Hash:
    """A hash that has taken nothing in yet. See: image-spec v1.1.0 descriptor.md#registered-algorithms"""
    # Imported here: OpenSSL would cost every zygote and monitor, which hash nothing, 5 ms and megabytes.
    import hashlib

    found: Hash = hashlib.new(algorithm)
    return found
