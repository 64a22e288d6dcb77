"""Every exception that labcontainer raises.

    LabError
    ├── KernelError      a system call failed (also an OSError): errno, the decoded call, a hint
    ├── HostError        this machine cannot do a thing: the feature, and the command that mends it
    ├── SpecError        what somebody else made breaks a specification
    │   ├── DigestMismatch      the bytes are not the ones that were named
    │   ├── InvalidReference    not an image's name
    │   ├── UnsafeArchive       an archive's entry that cannot be what it says, where it says
    │   └── UnsafeLayer         a layer that would write outside of its root
    ├── StateError       the verb is not allowed in this state: id, state, verb
    ├── NotFound         no such container, image, …: kind, name
    ├── Conflict         the name is taken, or the thing is in use: kind, name
    ├── UsageError       a flag or limit that makes no sense: parameter, value
    ├── RegistryError    a registry said no: status, code, detail
    ├── BuildError       a Dockerfile failed: file, line, instruction
    ├── InitError        a container did not start: stage, exit_code, cause
    └── ContainerError   a container's command ran and failed: exit_status, command, image, stderr

Messages are lower case, without a full stop, with the remedy where one is known. A KernelError is an
OSError so that ``except OSError`` and ``error.errno`` work, but Python cannot turn it into PermissionError
and its sisters: branch on ``errno``.
"""

from __future__ import annotations

import errno as errno_names
import os


class LabError(Exception):
    """The root of the tree: whatever labcontainer itself finds wrong."""


class KernelError(LabError, OSError):
    """A system call returned an error.

    ``errno`` is the number, ``call`` the call as one would write it in C with its flags decoded, and
    ``hint`` what this errno means for this call, in the user's terms (empty where nothing is known).
    """

    def __init__(self, errno: int, call: str, hint: str = "") -> None:
        super().__init__(errno, os.strerror(errno))
        self.call = call
        self.hint = hint

    def __reduce__(self) -> tuple[type[KernelError], tuple[int, str, str]]:
        return type(self), (self.errno or 0, self.call, self.hint)

    def __str__(self) -> str:
        name = errno_names.errorcode.get(self.errno or 0, str(self.errno))
        text = f"{self.call}: {name} ({self.strerror})"
        return f"{text}: {self.hint}" if self.hint else text


class HostError(LabError):
    """This machine cannot do it: ``feature`` names what, ``remedy`` the command or setting that mends it."""

    def __init__(self, feature: str, remedy: str = "", reason: str = "") -> None:
        self.feature = feature
        self.remedy = remedy
        self.reason = reason
        text = f"this machine cannot provide {feature}"
        if reason:
            text += f": {reason}"
        if remedy:
            text += f"; to mend it: {remedy}"
        super().__init__(text)


class SpecError(LabError):
    """A file or message that others made breaks its specification: the text says where and how."""


class DigestMismatch(SpecError):
    """Content does not have the digest by which it was asked for."""

    def __init__(self, expected: str, actual: str) -> None:
        self.expected = expected
        self.actual = actual
        super().__init__(f"content is {actual}, but {expected} was asked for")


class InvalidReference(SpecError):
    """Not an image reference: ``text`` is what was given."""

    def __init__(self, text: str, reason: str) -> None:
        self.text = text
        super().__init__(f"{text!r} is not an image reference: {reason}")


class UnsafeArchive(SpecError):
    """An archive's ``entry`` would leave its destination, or take the place of something that must stay."""

    def __init__(self, entry: str, reason: str) -> None:
        self.entry = entry[:300]  # an archive may have names as long as it likes
        self.reason = reason
        super().__init__(f"archive entry {self.entry!r} refused: {reason}")


class UnsafeLayer(SpecError):
    """A layer's ``entry`` would leave the root it is applied to, or contradicts the layer itself."""

    def __init__(self, entry: str, reason: str) -> None:
        self.entry = entry
        super().__init__(f"layer entry {entry!r} refused: {reason}")


class StateError(LabError):
    """``verb`` is not allowed while the container ``id`` is ``state``."""

    def __init__(self, id: str, state: str, verb: str, remedy: str = "") -> None:
        self.id = id
        self.state = state
        self.verb = verb
        text = f"cannot {verb} container {id[:12]}: it is {state}"
        super().__init__(f"{text}; {remedy}" if remedy else text)


class NotFound(LabError):
    """There is no ``kind`` (container, image, …) called ``name``."""

    def __init__(self, kind: str, name: str, remedy: str = "") -> None:
        self.kind = kind
        self.name = name
        text = f"no such {kind}: {name}"
        super().__init__(f"{text}; {remedy}" if remedy else text)


class Conflict(LabError):
    """The ``kind`` called ``name`` exists already, or is in use."""

    def __init__(self, kind: str, name: str, reason: str = "exists already") -> None:
        self.kind = kind
        self.name = name
        super().__init__(f"{kind} {name} {reason}")


class UsageError(LabError, ValueError):
    """``parameter`` cannot be ``value``: the reason says which values can be."""

    def __init__(self, parameter: str, value: object, reason: str) -> None:
        self.parameter = parameter
        self.value = value
        self.reason = reason
        super().__init__(f"{parameter} cannot be {value!r}: {reason}")


class RegistryError(LabError):
    """A registry answered with an error: HTTP ``status``, the specification's ``code``, and ``detail``."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        super().__init__(f"registry answered {status} {code}: {detail}")


class BuildError(LabError):
    """``instruction`` on ``line`` of the Dockerfile ``file`` failed."""

    def __init__(self, file: str, line: int, instruction: str, reason: str) -> None:
        self.file = file
        self.line = line
        self.instruction = instruction
        super().__init__(f"{file}:{line}: {instruction}: {reason}")


class InitError(LabError):
    """A container's init gave up at ``stage``, before its command ran.

    ``exit_code`` is what docker would exit with: 127 where the command does not exist, 126 where it
    cannot be executed, 125 for everything else. ``cause`` is the error as the child saw it.
    """

    def __init__(self, stage: str, cause: str, exit_code: int = 125) -> None:
        self.stage = stage
        self.cause = cause
        self.exit_code = exit_code
        super().__init__(f"container did not start ({stage}): {cause}")

    def __reduce__(self) -> tuple[type[InitError], tuple[str, str, int]]:
        return type(self), (self.stage, self.cause, self.exit_code)


class ContainerError(LabError):
    """The command of a container that was waited for ended with an exit status other than 0 (docker-py's name)."""

    def __init__(self, exit_status: int, command: tuple[str, ...], image: str, stderr: bytes) -> None:
        self.exit_status = exit_status
        self.command = command
        self.image = image
        self.stderr = stderr
        text = f"command {' '.join(command)!r} in image {image} returned {exit_status}"
        detail = stderr.decode(errors="replace").strip()
        super().__init__(f"{text}: {detail}" if detail else text)


def told(error: OSError) -> str:
    """An OSError in the form of our own: ``/mnt/x: no space left on device``; a KernelError is in it already."""
    if isinstance(error, LabError):
        return str(error)
    paths = [os.fsdecode(path) for path in (error.filename, error.filename2) if isinstance(path, str | bytes)]
    reason = error.strerror or str(error) or type(error).__name__
    return ": ".join([*([" → ".join(paths)] if paths else []), reason[:1].lower() + reason[1:]])
