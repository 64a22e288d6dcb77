"""The name by which a person asks for an image: ``lab/base``, ``lab/base:latest``.

    reference  := name [ ":" tag ]
    name       := component *( "/" component )
    component  := [a-z0-9]+ ( separator [a-z0-9]+ )*        separator: one of . _ __ or dashes
    tag        := [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from labcontainer.errors import InvalidReference

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository and a tag. See: distribution-spec v1.1.0 spec.md#pulling-manifests"""

    repository: str
    tag: str = "latest"

    @classmethod
    def parse(cls, text: str) -> Reference:
        """`text` as a reference; without a tag it means ``latest``.

        Raises: InvalidReference. See: distribution-spec v1.1.0 spec.md#pulling-manifests
        """
        head, slash, last = text.rpartition("/")
        name, colon, tag = last.partition(":")
        repository = head + slash + name
        if len(repository) > 255:
            raise InvalidReference(text, "a name has at most 255 characters")
        if not _NAME.fullmatch(repository):
            raise InvalidReference(text, "a name is lower-case words with / . _ - between them")
        if colon and not _TAG.fullmatch(tag):
            raise InvalidReference(text, "a tag is at most 128 letters, digits, _ . or -")
        return cls(repository, tag if colon else "latest")

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"
