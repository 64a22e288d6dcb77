"""Every flag of docker's verbs is served under the same names, or listed with the reason why it is not."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import click
import pytest

from labcontainer.cli import unserved
from labcontainer.cli.verbs import CONTAINER, IMAGE, LAB, SYSTEM, Verb

if TYPE_CHECKING:
    from tests.e2e.conftest import Lab
    from tests.needs import Needs

OURS = {"doctor", "explain", "completion", "system fsck"}
NOUNS = {"container", "image", "system"}
# What run and create do not serve is in the hands of their options.
ELSEWHERE = {"run", "create"}
_FLAG = re.compile(r"^ +(?:(-[a-zA-Z]), )?(--[a-z0-9-]+)", re.MULTILINE)


def verbs() -> dict[str, Verb]:
    """All that docker has, too: ``ps``, ``system df``."""
    found = {
        **LAB,
        **{f"container {name}": verb for name, verb in CONTAINER.items()},
        **{f"image {name}": verb for name, verb in IMAGE.items()},
        **{f"system {name}": verb for name, verb in SYSTEM.items()},
    }
    return {name: verb for name, verb in found.items() if name not in OURS | NOUNS}


def dockers(verb: str) -> dict[str, str | None]:
    """docker's flags of `verb`, each with its letter if it has one."""
    told = subprocess.run(["docker", *verb.split(), "--help"], capture_output=True, check=True, text=True).stdout
    return {long: short or None for short, long in _FLAG.findall(told) if long != "--help"}


def ours(verb: Verb) -> set[str]:
    options = (each for each in verb.load().params if isinstance(each, click.Option))
    return {name for option in options for name in (*option.opts, *option.secondary_opts)}


@pytest.mark.parametrize("name", sorted(verbs().keys() - ELSEWHERE - {f"container {verb}" for verb in ELSEWHERE}))
def test_a_flag_of_dockers_is_served_or_listed_with_the_reason(name: str, needs: Needs) -> None:
    needs("docker")
    served, listed = ours(verbs()[name]), unserved.FLAGS.get(name.removeprefix("container "), {})
    if name == "image ls":
        listed = unserved.FLAGS["images"]
    known = dockers(name)
    assert {flag for flag in known if flag not in served} == set(listed)
    letters = {long: short for long, short in known.items() if long in served and short}
    assert {long: short for long, short in letters.items() if short not in served} == {}


def test_each_reason_says_later_or_never() -> None:
    for flags in unserved.FLAGS.values():
        assert all(reason.startswith(("later, with ", "never, because ")) for reason in flags.values())


@pytest.mark.parametrize(
    "words", ["logs --details pet", "container logs --details pet", "images --tree", "image ls --tree", "rm -l pet"]
)
def test_a_flag_that_is_not_served_is_refused_with_the_reason(lab: Lab, words: str) -> None:
    done = lab(*words.split())
    assert (done.returncode, done.stdout) == (125, "")
    assert re.search(r"has no --[a-z]+: (later|never), ", done.stderr)


def test_a_flag_that_nobody_knows_is_told_as_such(lab: Lab) -> None:
    done = lab("logs", "--no-such", "pet")
    assert (done.returncode, "No such option" in done.stderr) == (125, True)
