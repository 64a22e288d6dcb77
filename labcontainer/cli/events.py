"""``lab events``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from labcontainer.cli import Session
from labcontainer.cli.filters import filter_option
from labcontainer.cli.template import Struct, Template


@click.command()
@click.option("--since", metavar="TIME", help="Begin with what happened then: 10m (ago), 2026-01-31T12:00, 1767225600.")
@click.option("--until", metavar="TIME", help="End then.")
@filter_option("Show those alone that fit: event=die, container=NAME, image=…, label=…, type=…")
@click.option("--format", "form", default="", metavar="json|TEMPLATE", help="Print each with a Go template.")
@click.pass_obj
def events(session: Session, since: str | None, until: str | None, filters: dict[str, list[str]], form: str) -> None:
    """Show what happens to containers, as it happens, until Ctrl-C."""
    template = Template("{{json .}}" if form == "json" else form)
    for event in session.engine().events(since, until, filters, decode=True):
        click.echo(template.render(_fields(event)) if form else sentence(event))


def sentence(event: dict[str, Any]) -> str:
    """``2026-01-31T13:00:00.123456789+01:00 container die 4f5c… (exitCode=0, image=lab/base, name=pet)``"""
    actor = event["Actor"]
    attributes = ", ".join(f"{name}={value}" for name, value in sorted(actor["Attributes"].items()))
    seconds, rest = divmod(event["timeNano"], 10**9)
    moment = datetime.fromtimestamp(seconds).astimezone().isoformat()
    zone = "Z" if moment.endswith("+00:00") else moment[19:]
    return f"{moment[:19]}.{rest:09d}{zone} {event['Type']} {event['Action']} {actor['ID']} ({attributes})"


def _fields(event: dict[str, Any]) -> Struct:
    actor = event["Actor"]
    return Struct(
        "*events.Message",
        {
            "Type": event["Type"],
            "Action": event["Action"],
            "Actor": Struct("events.Actor", {"ID": actor["ID"], "Attributes": actor["Attributes"]}, actor),
            "Scope": event["scope"],
            "Time": event["time"],
            "TimeNano": event["timeNano"],
            # Deprecated in docker, and still what many scripts ask for.
            "ID": actor["ID"],
            "Status": event["Action"],
            "From": actor["Attributes"].get("image", ""),
        },
        event,
    )
