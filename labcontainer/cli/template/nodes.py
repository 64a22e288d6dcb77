"""What a template consists of. ``str(node)`` is how Go shows it in an error."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """Copied as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, number, boolean or nil, and how it was written."""

    position: int
    value: object
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Field:
    """``.A.B``; without names it is the dot."""

    position: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names) or "."


@dataclass(frozen=True, slots=True)
class Variable:
    """``$x.A.B``."""

    position: int
    name: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.name, *self.names))


@dataclass(frozen=True, slots=True)
class Chain:
    """``(pipeline).A.B``."""

    position: int
    inner: Pipe
    names: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((f"({self.inner})", *self.names))


@dataclass(frozen=True, slots=True)
class Function:
    """A function's name, where a command begins with one."""

    position: int
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Command:
    """An operand, or a function or method and its arguments."""

    position: int
    operands: tuple[Operand, ...]

    def __str__(self) -> str:
        return " ".join(f"({each})" if isinstance(each, Pipe) else str(each) for each in self.operands)


@dataclass(frozen=True, slots=True)
class Pipe:
    """Commands, each given the value of the one before as its last argument; the last value goes to `variables`."""

    position: int
    variables: tuple[str, ...]
    declares: bool
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        pipeline = " | ".join(map(str, self.commands))
        sign = " := " if self.declares else " = "
        return ", ".join(self.variables) + sign + pipeline if self.variables else pipeline


@dataclass(frozen=True, slots=True)
class Action:
    """``{{pipeline}}``: what it yields is printed, unless it goes to a variable."""

    pipe: Pipe


@dataclass(frozen=True, slots=True)
class Branch:
    """``if``, ``with`` or ``range``: `then` for a value that is not empty, `otherwise` else."""

    keyword: str
    pipe: Pipe
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Leave:
    """``break`` or ``continue``."""

    keyword: str


Operand = Literal | Field | Variable | Chain | Function | Pipe
Node = Text | Action | Branch | Leave
