"""Which verb is found where."""

from __future__ import annotations

import click
import pytest

from labcontainer.cli import lab, name
from labcontainer.cli.verbs import CONTAINER, IMAGE, LAB, SYSTEM, Verbs
from labcontainer.errors import NotFound, UsageError

PORTS = {
    "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
    "9/udp": [{"HostIp": "127.0.0.1", "HostPort": "9"}],
    "443/tcp": None,
}


def found(*words: str) -> click.Command:
    command: click.Command = lab
    for word in words:
        assert isinstance(command, Verbs)
        below = command.get_command(click.Context(command), word)
        assert below is not None, words
        command = below
    return command


@pytest.mark.parametrize(
    ("direct", "noun"),
    [
        *((verb, f"container {verb}") for verb in sorted(set(LAB) & set(CONTAINER) - {"inspect"})),
        ("ps", "container ls"),
        ("ps", "container ps"),
        ("ps", "container list"),
        ("rm", "container remove"),
        ("images", "image ls"),
        ("images", "image list"),
        ("events", "system events"),
    ],
)
def test_a_verb_is_one_command_under_both_its_names(direct: str, noun: str) -> None:
    assert found(direct) is found(*noun.split())


@pytest.mark.parametrize(
    ("noun", "verb"),
    [
        (noun, verb)
        for noun, table in (("container", CONTAINER), ("image", IMAGE), ("system", SYSTEM))
        for verb in table
    ],
)
def test_each_verb_of_a_noun_is_there_and_helps(noun: str, verb: str) -> None:
    command = found(noun, verb)
    assert command.help or isinstance(command, click.Group)


def test_a_noun_has_no_verb_of_another() -> None:
    for words in (("image", "ps"), ("image", "run"), ("system", "ls"), ("container", "images")):
        group = found(words[0])
        assert isinstance(group, Verbs)
        assert group.get_command(click.Context(group), words[1]) is None


def test_ports_are_told_as_docker_tells_them() -> None:
    assert name.published({}, "pet", None) == []
    every = ["9/udp -> 127.0.0.1:9", "80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"]
    assert name.published(PORTS, "pet", None) == every
    assert name.published(PORTS, "pet", "80") == ["0.0.0.0:8080", "[::]:8080"]
    assert name.published(PORTS, "pet", "9/udp") == ["127.0.0.1:9"]


@pytest.mark.parametrize(("wanted", "error"), [("9", NotFound), ("443/tcp", NotFound), ("http", UsageError)])
def test_a_port_that_is_not_published_is_an_error(wanted: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        name.published(PORTS, "pet", wanted)
