"""``--pause=false``: docker takes a value for every switch, click for none.

lab commit --pause=false web      is read as      lab commit --no-pause web
lab run --rm=true lab/base                        lab run --rm lab/base
"""

from __future__ import annotations

from collections.abc import Sequence

import click

# Go's strconv.ParseBool.
_VALUES = {**dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
           **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False)}  # fmt: skip


def plain(command: click.Command, words: Sequence[str]) -> list[str]:
    """`words`, the arguments of `command`, with docker's way of writing a switch in click's. Raises: BadOptionUsage."""
    known = {name: each for each in command.params if isinstance(each, click.Option) for name in each.opts}
    interspersed = command.context_settings.get("allow_interspersed_args", command.allow_interspersed_args)
    read: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        option = known.get(name)
        if word == "--" or (not word.startswith("-") and not interspersed):
            # What follows belongs to the command in the container.
            return [*read, word, *rest]
        if option is not None and option.is_flag and equals:
            read += _switched(option, name, value)
            continue
        read.append(word)
        if option is not None and not option.is_flag and not option.count and not equals and rest:
            read.append(rest.pop(0))
    return read


def _switched(option: click.Option, name: str, value: str) -> list[str]:
    if value not in _VALUES:
        raise click.BadOptionUsage(name, f"{name} is a switch: it is true or false, not {value!r}")
    return [name] if _VALUES[value] else option.secondary_opts[:1]
