"""Names of images, by docker's rules.

    >>> Reference.parse("alpine").canonical
    'docker.io/library/alpine:latest'
    >>> Reference.parse("ghcr.io/lab/tool:1.2").domain
    'ghcr.io'

    reference       := name [":" tag] ["@" digest]
    name            := [domain "/"] path-component ("/" path-component)*
    domain          := host [":" port]
    path-component  := alpha-numeric (separator alpha-numeric)*
    alpha-numeric   := [a-z0-9]+
    separator       := "_" | "." | "__" | "-"*
    tag             := [A-Za-z0-9_] [A-Za-z0-9_.-]{0,127}

What stands before the first slash is a domain only if it looks like one; without a domain docker.io is meant, and there
a name without a slash belongs to library/. Without tag and digest the tag is latest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from labcontainer.errors import InvalidReference, SpecError
from labcontainer.oci.digest import Digest

_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PATH_PART}(?:/{_PATH_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")

_DEFAULT_DOMAIN = "docker.io"
_DEFAULT_TAG = "latest"
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A normalised image name: `domain` and `path` are whole, and one of `tag` and `digest` is there.

    See: https://github.com/distribution/reference/blob/v0.6.0/reference.go
    """

    domain: str
    path: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """What a user typed, as a `Reference`.

        Raises: InvalidReference. See: https://github.com/distribution/reference/blob/v0.6.0/normalize.go
        """
        if _IDENTIFIER.fullmatch(text):
            raise InvalidReference(text, "64 hexadecimal digits are an id, never a name")
        rest, at, digest_text = text.partition("@")
        digest = _digest(text, digest_text) if at else None
        name, tag = _split_tag(text, rest)
        domain, path = _split_domain(name)
        if not _DOMAIN.fullmatch(domain):
            raise InvalidReference(text, f"{domain!r} is not a host name")
        if not _PATH.fullmatch(path):
            lower = "" if path == path.lower() else "a repository's name is in lower case; "
            raise InvalidReference(text, f"{lower}expected [registry/]name[:tag][@digest]")
        # Docker's own limit, on the name as it is written here, without tag and digest.
        if len(f"{domain}/{path}") > _LONGEST_NAME:
            raise InvalidReference(text, f"its name is longer than {_LONGEST_NAME} characters")
        return cls(domain, path, tag or (None if digest else _DEFAULT_TAG), digest)

    @property
    def repository(self) -> str:
        """The name as users write it: without docker.io/ and library/.

        See: https://github.com/distribution/reference/blob/v0.6.0/normalize.go (FamiliarName)
        """
        if self.domain != _DEFAULT_DOMAIN:
            return f"{self.domain}/{self.path}"
        short = self.path.removeprefix("library/")
        # "library/foo/bar" must not become "foo/bar": that is another repository.
        return self.path if "/" in short else short

    @property
    def canonical(self) -> str:
        """The whole name. See: https://github.com/distribution/reference/blob/v0.6.0/reference.go"""
        return f"{self.domain}/{self.path}{self._suffix()}"

    def __str__(self) -> str:
        return self.repository + self._suffix()

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{tag}@{self.digest}" if self.digest else tag


def _split_tag(text: str, rest: str) -> tuple[str, str | None]:
    # A colon after the last slash begins a tag; before it, a port.
    head, colon, tail = rest.rpartition(":")
    if not colon or "/" in tail:
        return rest, None
    if not _TAG.fullmatch(tail):
        raise InvalidReference(text, f"{tail!r} is not a tag")
    return head, tail


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    looks_like_one = any(sign in first for sign in ".:") or first == "localhost" or first != first.lower()
    domain, path = (first, rest) if slash and looks_like_one else (_DEFAULT_DOMAIN, name)
    if domain == "index.docker.io":
        domain = _DEFAULT_DOMAIN
    return (domain, f"library/{path}") if domain == _DEFAULT_DOMAIN and "/" not in path else (domain, path)


def _digest(text: str, digest_text: str) -> Digest:
    try:
        return Digest.parse(digest_text)
    except SpecError as error:
        raise InvalidReference(text, str(error)) from None
