from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainer.errors import DigestMismatch, SpecError
from labcontainer.oci.digest import Digest

HELLO = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


def test_a_digest_is_the_hash_of_the_content() -> None:
    assert str(Digest.of(b"hello")) == HELLO
    assert Digest.parse(HELLO) == Digest.of(b"hello")
    assert Digest.parse(HELLO).short == "2cf24dba5fb0"


@given(st.binary())
def test_content_verifies_under_its_own_digest_and_no_other(data: bytes) -> None:
    digest = Digest.parse(f"sha512:{hashlib.sha512(data).hexdigest()}")
    assert digest.verify(data) == data
    with pytest.raises(DigestMismatch):
        digest.verify(data + b"x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        ":" + "a" * 64,
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "sha256:" + "A" * 64,
        "sha256:" + "g" * 64,
        "SHA256:" + "a" * 64,
        "sha512:" + "a" * 64,
        "sha256:../../../../etc/passwd",
        "../x:abc",
        "sha256:" + "a" * 64 + "\n",
        "sha256:" + "٣" * 64,
        "x:" + "a" * 1000,
    ],
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        Digest.parse(text)


def test_an_unregistered_algorithm_can_be_named_but_not_verified() -> None:
    digest = Digest.parse("sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564")
    assert digest.algorithm == "sha256+b64u"
    with pytest.raises(SpecError, match="not known"):
        digest.verify(b"")


@given(st.text())
def test_parsing_either_gives_the_text_back_or_a_spec_error(text: str) -> None:
    try:
        digest = Digest.parse(text)
    except SpecError:
        return
    assert str(digest) == text
    assert "/" not in digest.hex
    assert digest.algorithm not in (".", "..")
