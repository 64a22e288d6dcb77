"""Which verb is found where: ``lab ps`` and ``lab container ls`` are one command, defined once.

A verb's module is imported when the verb is used: starting a container must not wait for a table's typesetter. The line
beside it is what ``lab --help`` shows without importing it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from labcontainer.cli import switches


class Verb(NamedTuple):
    """A click command: the module of `labcontainer.cli` that has it, its name there, and what it does in a line."""

    module: str
    function: str
    line: str

    def load(self) -> click.Command:
        """The command itself, imported now."""
        command = getattr(importlib.import_module(f"labcontainer.cli.{self.module}"), self.function)
        assert isinstance(command, click.Command)
        return command


# What lab has for one container, under the same names directly and in the noun.
_OF_A_CONTAINER = {
    "attach": Verb("inside", "attach", "Show what a running container writes, and pass stdin on."),
    "commit": Verb("archives", "commit", "Make an image of what a container is now."),
    "cp": Verb("files", "cp", "Copy files between a container and the host."),
    "create": Verb("run", "create", "Make a container from an image, to be started later."),
    "diff": Verb("files", "diff", "Show what a container has changed in its root."),
    "exec": Verb("inside", "execute", "Run one more command in a running container."),
    "export": Verb("files", "export", "Write the whole root of a container as a tar archive."),
    "kill": Verb("life", "kill", "Send a signal to a container."),
    "logs": Verb("logs", "logs", "Print what a container has written."),
    "pause": Verb("life", "pause", "Stop every process of a container where it stands."),
    "port": Verb("name", "port", "List the published ports of a container."),
    "rename": Verb("name", "rename", "Give a container another name."),
    "restart": Verb("life", "restart", "Stop a container, and start it again."),
    "rm": Verb("life", "rm", "Remove containers."),
    "run": Verb("run", "run", "Create a container from an image and run a command in it."),
    "start": Verb("life", "start", "Start a created container."),
    "stats": Verb("stats", "stats", "Show what containers use, as they use it."),
    "stop": Verb("life", "stop", "Stop containers: SIGTERM, then SIGKILL."),
    "top": Verb("files", "top_", "List the processes of a container."),
    "unpause": Verb("life", "unpause", "Let a paused container go on."),
    "update": Verb("limits", "update", "Give containers other limits, while they run."),
    "wait": Verb("life", "wait", "Wait for containers to end and print their exit codes."),
}
CONTAINER = {
    **_OF_A_CONTAINER,
    "inspect": Verb("inspect", "container", "Show all that is known of containers."),
    "ls": Verb("ps", "ps", "List containers."),
    "prune": Verb("prune", "containers", "Remove all containers that do not run."),
}
IMAGE = {
    "history": Verb("image", "history", "Show the steps in which an image was made."),
    "import": Verb("archives", "import_", "Make an image of the tar of a root file system."),
    "inspect": Verb("inspect", "image", "Show all that is known of images."),
    "load": Verb("archives", "load", "Take in the images of an archive."),
    "ls": Verb("images", "images", "List images."),
    "prune": Verb("image", "prune", "Remove images that have no name."),
    "rm": Verb("image", "rmi", "Remove images."),
    "save": Verb("archives", "save", "Write images as one archive."),
    "tag": Verb("image", "tag", "Give an image one more name."),
}
SYSTEM = {
    "df": Verb("disk_usage", "df", "Show what images, containers and caches take up on the disk."),
    "events": Verb("events", "events", "Show what happens to containers, as it happens."),
    "fsck": Verb("fsck", "fsck", "Check what is on disk against the kernel and its own digests."),
    "info": Verb("information", "info", "Show what this engine is, and on what machine."),
    "prune": Verb("prune", "system", "Remove what nobody uses."),
}
LAB = {
    **_OF_A_CONTAINER,
    "completion": Verb("completion", "completion", "Print what has a shell complete lab's words."),
    "container": Verb("nouns", "container", "The verbs for containers."),
    "doctor": Verb("doctor", "doctor", "Try what this machine can do, and say what mends the rest."),
    "events": SYSTEM["events"],
    "explain": Verb("explain", "explain", "Show what a run would do, before it is done."),
    "image": Verb("nouns", "image", "The verbs for images."),
    "history": IMAGE["history"],
    "images": IMAGE["ls"],
    "import": IMAGE["import"],
    "info": SYSTEM["info"],
    "inspect": Verb("inspect", "inspect", "Show all that is known of containers and images."),
    "load": IMAGE["load"],
    "ps": CONTAINER["ls"],
    "rmi": IMAGE["rm"],
    "save": IMAGE["save"],
    "tag": IMAGE["tag"],
    "system": Verb("nouns", "system", "The verbs for the whole of an engine."),
    "version": Verb("information", "version", "Show the versions of what runs here."),
}
# docker's other names for the same, which its lists leave out, too.
ALIASES = {"list": "ls", "ps": "ls", "remove": "rm"}


class Verbs(click.Group):
    """A group whose commands are those of a table; ``group.table`` is it."""

    def __init__(self, *, table: Mapping[str, Verb], aliases: Mapping[str, str] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.table = table
        self._aliases = aliases or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.table)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        verb = self.table.get(name) or self.table.get(self._aliases.get(name, ""))
        return verb.load() if verb else None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        verbs = (CompletionItem(name, help=verb.line) for name, verb in sorted(self.table.items()))
        found = [item for item in verbs if item.value.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command, switches.plain(command, rest) if command else rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.line) for name, verb in sorted(self.table.items())])
