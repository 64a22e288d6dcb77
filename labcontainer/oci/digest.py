"""Content is named by what it is: ``sha256:`` and 64 hexadecimal digits. Lesson 05 teaches it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from labcontainer.errors import SpecError

# digest ::= algorithm ":" encoded        (image-spec v1.1.0 descriptor.md#digests)
_SHA256 = re.compile(r"sha256:[a-f0-9]{64}")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A digest that has been checked. See: image-spec v1.1.0 descriptor.md#digests"""

    text: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """`text` as a digest. Raises: SpecError. See: image-spec v1.1.0 descriptor.md#digests"""
        if not _SHA256.fullmatch(text):
            raise SpecError(f"{text!r} is not a digest: expected sha256: and 64 hexadecimal digits")
        return cls(text)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """The digest of `data`. See: image-spec v1.1.0 descriptor.md#sha-256"""
        return cls(f"sha256:{hashlib.sha256(data).hexdigest()}")

    @property
    def hex(self) -> str:
        """The part behind the colon. See: image-spec v1.1.0 descriptor.md#digests"""
        return self.text.partition(":")[2]

    def __str__(self) -> str:
        return self.text
