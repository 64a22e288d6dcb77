"""An error on its way from a helper process to the process that asked.

    {"error": {"kind": "KernelError", "errno": 1, "call": "clone3(flags=CLONE_NEWUSER…)", "hint": "…"}}

Only what the asker can act upon crosses the pipe; anything else arrives as the text of a HostError.
"""

from __future__ import annotations

import errno as errno_names
from typing import Any

from labcontainer.errors import (
    HostError,
    KernelError,
    LabError,
    NotFound,
    SpecError,
    StateError,
    UnsafeArchive,
    UsageError,
)
from labcontainer.kernel.notation import show


def to_json(error: Exception) -> dict[str, Any]:
    """The error as plain data."""
    match error:
        case KernelError():
            return {"kind": "KernelError", "errno": error.errno, "call": error.call, "hint": error.hint}
        case HostError():
            return {"kind": "HostError", "feature": error.feature, "remedy": error.remedy, "reason": error.reason}
        case UsageError():
            text = str(error).partition(": ")[2]
            return {"kind": "UsageError", "parameter": error.parameter, "value": str(error.value), "reason": text}
        case NotFound():
            return {"kind": "NotFound", "what": error.kind, "name": error.name}
        case StateError():
            return {"kind": "StateError", "id": error.id, "state": error.state, "verb": error.verb}
        case UnsafeArchive():
            return {"kind": "UnsafeArchive", "entry": error.entry, "reason": error.reason}
        case SpecError():
            return {"kind": "SpecError", "text": str(error)}
        case OSError():
            return {"kind": "KernelError", "errno": error.errno or 0, "call": _call(error), "hint": ""}
        case _:
            return {"kind": "HostError", "feature": "this experiment", "remedy": "", "reason": repr(error)}


def from_json(fields: dict[str, Any]) -> LabError:
    """The inverse of `to_json`: an error to raise."""
    match fields["kind"]:
        case "KernelError":
            return KernelError(fields["errno"], fields["call"], fields["hint"])
        case "UsageError":
            return UsageError(fields["parameter"], fields["value"], fields["reason"])
        case "NotFound":
            return NotFound(fields["what"], fields["name"])
        case "StateError":
            return StateError(fields["id"], fields["state"], fields["verb"])
        case "UnsafeArchive":
            return UnsafeArchive(fields["entry"], fields["reason"])
        case "SpecError":
            return SpecError(fields["text"])
        case _:
            return HostError(fields["feature"], fields["remedy"], fields["reason"])


def sentence(error: LabError) -> str:
    """What went wrong and how to mend it, as one or two sentences for a student."""
    match error:
        case KernelError():
            name = errno_names.errorcode.get(error.errno or 0, "an error")
            text = f"The Linux kernel answered {name} ({error.strerror}) to {error.call}."
            return f"{text} {_capitalised(error.hint)}." if error.hint else text
        case HostError():
            text = f"This machine cannot provide {error.feature}"
            text += f": {error.reason}." if error.reason else "."
            return f"{text} To mend it: {error.remedy}" if error.remedy else text
        case _:
            return f"{_capitalised(str(error))}."


def _call(error: OSError) -> str:
    paths = [show(path) for path in (error.filename, error.filename2) if path is not None]
    return f"the call on {' and '.join(paths)}" if paths else "a call"


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
