"""From nodes and data to text."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labcontainer.cli.template import values
from labcontainer.cli.template.errors import TemplateError
from labcontainer.cli.template.functions import CallError, Function
from labcontainer.cli.template.nodes import (
    Action,
    Branch,
    Chain,
    Command,
    Field,
    Leave,
    Literal,
    Node,
    Operand,
    Pipe,
    Text,
    Variable,
)
from labcontainer.cli.template.nodes import Function as Name


def evaluate(nodes: Sequence[Node], data: object, functions: Mapping[str, Function], text: str) -> str:
    """The text that `nodes` (of the template `text`) make of `data`. Raises: TemplateError."""
    evaluator = _Evaluator(functions, text, data)
    evaluator.walk(nodes, data)
    return "".join(evaluator.output)


class _Left(Exception):
    """A ``break`` or ``continue`` on its way to the loop."""

    def __init__(self, keyword: str) -> None:
        self.keyword = keyword


_NOTHING = object()  # no value comes down the pipeline


class _Evaluator:
    def __init__(self, functions: Mapping[str, Function], text: str, data: object) -> None:
        self.output: list[str] = []
        self._functions = functions
        self._text = text
        # The innermost last; a variable is looked for from the end.
        self._variables: list[tuple[str, object]] = [("$", data)]

    def walk(self, nodes: Sequence[Node], dot: object) -> None:
        """Add the text of `nodes` to the output."""
        for node in nodes:
            if isinstance(node, Text):
                self.output.append(node.text)
            elif isinstance(node, Action):
                value = self._pipe(node.pipe, dot)
                if not node.pipe.variables:
                    self.output.append(values.show(value))
            elif isinstance(node, Leave):
                raise _Left(node.keyword)
            else:
                outer = len(self._variables)
                try:
                    self._branch(node, dot)
                finally:
                    del self._variables[outer:]

    # -- control

    def _branch(self, node: Branch, dot: object) -> None:
        value = self._pipe(node.pipe, dot)
        if node.keyword == "range":
            self._range(node, value, dot)
        elif values.is_true(value):
            self.walk(node.then, value if node.keyword == "with" else dot)
        else:
            self.walk(node.otherwise, dot)

    def _range(self, node: Branch, value: object, dot: object) -> None:
        pairs = list(self._pairs(node.pipe, value))
        if not pairs:
            self.walk(node.otherwise, dot)
        for key, each in pairs:
            outer = len(self._variables)
            for name, item in zip(reversed(node.pipe.variables), (each, key), strict=False):
                self._variables.append((name, item))
            try:
                self.walk(node.then, each)
            except _Left as left:
                if left.keyword == "break":
                    return
            finally:
                del self._variables[outer:]

    def _pairs(self, pipe: Pipe, value: Any) -> Iterable[tuple[object, object]]:
        if value is None:
            return ()
        if isinstance(value, Mapping):
            return ((key, value[key]) for key in sorted(value))
        if values.is_list(value):
            return enumerate(value)
        if type(value) is int:
            return ((number, number) for number in range(value))
        raise self._error(pipe, f"range can't iterate over {values.plain(value)}")

    # -- values

    def _pipe(self, pipe: Pipe, dot: object) -> object:
        value: object = _NOTHING
        for command in pipe.commands:
            value = self._command(command, dot, value)
        if pipe.variables and not pipe.declares:
            self._assign(pipe, value)
        elif pipe.variables:
            self._variables.append((pipe.variables[-1], value))
        return value

    def _assign(self, pipe: Pipe, value: object) -> None:
        for place in range(len(self._variables) - 1, -1, -1):
            if self._variables[place][0] == pipe.variables[0]:
                self._variables[place] = (pipe.variables[0], value)
                return
        raise self._error(pipe.commands[0], f"undefined variable: {pipe.variables[0]}")

    def _command(self, command: Command, dot: object, final: object) -> object:
        first, arguments = command.operands[0], command.operands[1:]
        if isinstance(first, Name):
            return self._call(first, command, arguments, dot, final)
        if isinstance(first, Literal) and first.value is None:
            raise self._error(first, "nil is not a command")
        given = [self._operand(each, dot) for each in arguments] + ([] if final is _NOTHING else [final])
        if isinstance(first, Literal | Pipe) or (isinstance(first, Field | Variable) and not first.names):
            if given:
                raise self._error(first, f"can't give argument to non-function {first}")
            return self._operand(first, dot)
        return self._operand(first, dot, given)

    def _operand(self, operand: Operand, dot: object, given: Sequence[object] = ()) -> object:
        if isinstance(operand, Literal):
            return operand.value
        if isinstance(operand, Field):
            return self._fields(operand, dot, operand.names, given)
        if isinstance(operand, Variable):
            value = next(value for name, value in reversed(self._variables) if name == operand.name)
            return self._fields(operand, value, operand.names, given)
        if isinstance(operand, Chain):
            return self._fields(operand, self._pipe(operand.inner, dot), operand.names, given)
        if isinstance(operand, Pipe):
            return self._pipe(operand, dot)
        return self._call(operand, Command(operand.position, (operand,)), (), dot, _NOTHING)

    def _fields(
        self, node: Field | Variable | Chain, value: object, names: Sequence[str], given: Sequence[object]
    ) -> object:
        for number, name in enumerate(names, 1):
            value = self._field(node, value, name, given if number == len(names) else ())
        return value

    def _field(self, node: Field | Variable | Chain, value: object, name: str, given: Sequence[object]) -> object:
        if value is None:
            raise self._error(node, f"nil pointer evaluating interface {{}}.{name}")
        if not isinstance(value, Mapping) or (isinstance(value, values.Struct) and name not in value):
            owner = value.type_name if isinstance(value, values.Struct) else "interface {}"
            raise self._error(node, f"can't evaluate field {name} in type {owner}")
        if name not in value:
            raise self._error(node, f'map has no entry for key "{name}"')
        found = value[name]
        if callable(found):
            return self._guarded(name, node, found, given)
        if given:
            raise self._error(node, f"{name} is not a method but has arguments")
        return found

    def _call(self, name: Name, command: Command, operands: Sequence[Operand], dot: object, final: object) -> object:
        if name.name in ("and", "or"):
            return self._decide(name, command, operands, dot, final)
        given = [self._operand(each, dot) for each in operands]
        given += [] if final is _NOTHING else [final]
        return self._guarded(name.name, command, self._functions[name.name], given)

    def _decide(self, name: Name, command: Command, operands: Sequence[Operand], dot: object, final: object) -> object:
        """The first argument that decides, or the last one; what comes after it is not even looked at."""
        value: object = _NOTHING
        for operand in operands:
            value = self._operand(operand, dot)
            if values.is_true(value) == (name.name == "or"):
                return value
        value = value if final is _NOTHING else final
        if value is _NOTHING:
            raise self._error(command, f"wrong number of args for {name}: want at least 1 got 0")
        return value

    def _guarded(
        self, name: str, node: Command | Field | Variable | Chain, function: Any, given: Sequence[object]
    ) -> object:
        try:
            return function(*given)
        except (CallError, ValueError, OverflowError) as error:
            raise self._error(node, f"error calling {name}: {error}") from None
        except TypeError:
            # Go counts arguments before it calls; here the call itself has found that they do not fit.
            raise self._error(node, f"wrong number of args for {name}: {_wanted(function)} got {len(given)}") from None

    def _error(self, node: Command | Operand, reason: str) -> TemplateError:
        return TemplateError.at_node(self._text, node.position, str(node), reason)


def _wanted(function: Any) -> str:
    parameters = inspect.signature(function).parameters.values()
    fixed = [each for each in parameters if each.kind is not inspect.Parameter.VAR_POSITIONAL]
    return f"want {'' if len(fixed) == len(parameters) else 'at least '}{len(fixed)}"
