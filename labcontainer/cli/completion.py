"""``lab completion``: what a shell offers at the tab key; and the names that it finds.

    . <(lab completion bash)                                       for this shell
    lab completion bash > ~/.local/share/bash-completion/completions/lab

The shell calls ``lab`` with _LAB_COMPLETE set, and click finds out what may come. A name is read from the files of
containers and images: no engine is opened, nothing is mended, at a key that was pressed by the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click
from click.shell_completion import CompletionItem, get_completion_class

_VARIABLE = "_LAB_COMPLETE"
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that has SHELL complete verbs, flags, and the names of containers and images."""
    lab = ctx.find_root().command
    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(lab, {}, "lab", _VARIABLE).source())


def containers(*statuses: str) -> Complete:
    """Offers the names of containers; with `statuses` (docker's words) of those alone."""

    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in sorted(_names(statuses)) if name.startswith(incomplete)]

    return complete


def images(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offers the names of images, ``latest`` left out."""
    from labcontainer.engine import default_directories
    from labcontainer.image.store import Store

    store = Store(default_directories()[0] / "images")
    names = sorted(tag.removesuffix(":latest") for image in store.images() for tag in image.tags)
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def either(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offers containers and images."""
    return [*containers()(ctx, parameter, incomplete), *images(ctx, parameter, incomplete)]


def paths(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offers ``CONTAINER:``, and else the files of the host."""
    found = [CompletionItem(f"{name}:") for name in sorted(_names(())) if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="file")]


def _names(statuses: tuple[str, ...]) -> Iterator[str]:
    from labcontainer.engine import default_directories, summary
    from labcontainer.errors import LabError

    for directory in (default_directories()[0] / "containers").glob("*"):
        try:
            each = summary.of(directory)
        except (LabError, OSError):
            continue  # half written, or not ours to read
        if not statuses or each.status in statuses:
            yield each.record.name
