"""docker's way of writing a switch, read as click's."""

import click
import pytest

from labcontainer.cli.switches import plain


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--rm", is_flag=True)
@click.option("-d", "--detach", is_flag=True)
@click.option("--sig-proxy/--no-sig-proxy", default=True)
@click.option("-e", "--env", multiple=True)
@click.argument("command", nargs=-1)
def run(**_: object) -> None: ...


@pytest.mark.parametrize(
    ("words", "read"),
    [
        ("--rm=true image", "--rm image"),
        ("--rm=false image", "image"),
        ("-d=1 --sig-proxy=F image", "-d --no-sig-proxy image"),
        ("--sig-proxy=true image", "--sig-proxy image"),
        ("-e --rm=false image", "-e --rm=false image"),
        ("--env=A=false image", "--env=A=false image"),
        ("image --rm=false", "image --rm=false"),
        ("-- --rm=false", "-- --rm=false"),
        ("--unknown=false image", "--unknown=false image"),
    ],
)
def test_a_value_of_a_switch_is_read_and_a_commands_own_words_are_left(words: str, read: str) -> None:
    assert plain(run, words.split()) == read.split()


def test_a_value_that_is_neither_true_nor_false_is_refused() -> None:
    with pytest.raises(click.BadOptionUsage, match="true or false"):
        plain(run, ["--rm=maybe", "image"])
