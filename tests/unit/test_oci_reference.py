from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainer.errors import InvalidReference
from labcontainer.oci.reference import Reference

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"),
        ("library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("index.docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("index.docker.io/lab/base", "docker.io/lab/base:latest", "lab/base:latest"),
        ("lab/base", "docker.io/lab/base:latest", "lab/base:latest"),
        ("lab/base:v1", "docker.io/lab/base:v1", "lab/base:v1"),
        ("library/foo/bar", "docker.io/library/foo/bar:latest", "library/foo/bar:latest"),
        ("localhost/foo", "localhost/foo:latest", "localhost/foo:latest"),
        ("localhost:5000/foo:1", "localhost:5000/foo:1", "localhost:5000/foo:1"),
        ("ghcr.io/a/b/c", "ghcr.io/a/b/c:latest", "ghcr.io/a/b/c:latest"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000/a:latest", "127.0.0.1:5000/a:latest"),
        ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
        ("HOST/a", "HOST/a:latest", "HOST/a:latest"),
        ("foo_bar.com/a", None, None),
        ("a__b/c---d.e_f", "docker.io/a__b/c---d.e_f:latest", "a__b/c---d.e_f:latest"),
        (f"alpine@sha256:{HEX}", f"docker.io/library/alpine@sha256:{HEX}", f"alpine@sha256:{HEX}"),
        (f"alpine:3@sha256:{HEX}", f"docker.io/library/alpine:3@sha256:{HEX}", f"alpine:3@sha256:{HEX}"),
        ("test:5000", "docker.io/library/test:5000", "test:5000"),
    ],
)
def test_names_are_read_as_docker_reads_them(text: str, canonical: str | None, familiar: str | None) -> None:
    if canonical is None:
        with pytest.raises(InvalidReference):
            Reference.parse(text)
        return
    reference = Reference.parse(text)
    assert (reference.canonical, str(reference)) == (canonical, familiar)


def test_repository_and_tag_are_what_docker_prints() -> None:
    reference = Reference.parse("lab/base")
    assert (reference.repository, reference.tag) == ("lab/base", "latest")


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "@", "/", "a/", "/a", "a//b", "-a", "a-", "a..b", "a___b", "a/-b", "a:", "a:-x", "a:b:c",
        "a:" + "t" * 129,
        "Alpine", "lab/Base",
        "a b", "a\n", "a:b\n", "a@sha256:abc", "a@", f"sha256:{HEX}@x", HEX, "é", "a/../b", "http://a/b",
        "a@sha256:" + "A" * 64, "x" * 256, "ghcr.io/" + "x" * 248, "localhost:abc/x", "--force", "a?b", "a%2fb",
    ],
)  # fmt: skip
def test_what_is_no_reference_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidReference) as refused:
        Reference.parse(text)
    assert refused.value.text == text


def test_upper_case_is_what_the_error_speaks_of() -> None:
    with pytest.raises(InvalidReference, match="lower case"):
        Reference.parse("lab/Base")


COMPONENT = st.from_regex(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*", fullmatch=True).filter(lambda text: len(text) < 40)
TAG = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True).filter(str.isascii)


@given(st.lists(COMPONENT, min_size=1, max_size=4).map(lambda parts: "/".join(["lab", *parts])), TAG)
def test_what_is_printed_is_read_back_as_the_same(name: str, tag: str) -> None:
    reference = Reference.parse(f"{name}:{tag}")
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.canonical) == reference


@given(st.text(max_size=80))
def test_any_text_is_a_reference_or_an_invalid_one(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidReference:
        return
    assert Reference.parse(reference.canonical) == reference
    assert ".." not in reference.path.split("/")
