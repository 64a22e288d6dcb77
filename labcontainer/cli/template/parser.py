"""From tokens to nodes: recursive descent, a method a rule.

list     = { text | "{{" action "}}" }
action   = ("if" | "with" | "range") pipeline … "{{else}}" … "{{end}}" | "break" | "continue" | pipeline
pipeline = [ variable [ "," variable ] (":=" | "=") ] command { "|" command }
command  = operand { " " operand }
operand  = ( literal | "." | variable | function | "(" pipeline ")" ) { field } | field { field }
"""

from __future__ import annotations

import ast
from collections.abc import Container

from labcontainer.cli.template.errors import TemplateError
from labcontainer.cli.template.lexer import Kind, Token, tokens
from labcontainer.cli.template.nodes import (
    Action,
    Branch,
    Chain,
    Command,
    Field,
    Function,
    Leave,
    Literal,
    Node,
    Operand,
    Pipe,
    Text,
    Variable,
)

_LITERALS = (Kind.BOOL, Kind.STRING, Kind.RAW, Kind.CHAR, Kind.NUMBER)
_NO_COMMAND = (Kind.END, Kind.KEYWORD, Kind.COMMA, Kind.DECLARE, Kind.ASSIGN, Kind.PIPE)
_BRANCHES = ("if", "with", "range")


def parse(text: str, functions: Container[str]) -> tuple[Node, ...]:
    """The nodes of `text`, in which `functions` may be called. Raises: TemplateError."""
    return _Parser(text, functions).template()


class _Parser:
    def __init__(self, text: str, functions: Container[str]) -> None:
        self._text = text
        self._functions = functions
        self._tokens = tokens(text)
        self._ahead: list[Token] = []
        self._variables = ["$"]
        self._loops = 0

    def template(self) -> tuple[Node, ...]:
        nodes, ended_by = self._list()
        if ended_by:
            raise self._error(f"unexpected {{{{{ended_by}}}}}")
        return nodes

    # -- tokens

    def _next(self) -> Token:
        return self._ahead.pop() if self._ahead else next(self._tokens)

    def _peek(self) -> Token:
        token = self._next()
        self._ahead.append(token)
        return token

    def _next_word(self) -> Token:
        token = self._next()
        return self._next() if token.kind is Kind.SPACE else token

    def _peek_word(self) -> Token:
        token = self._next_word()
        self._ahead.append(token)
        return token

    def _error(self, reason: str, token: Token | None = None) -> TemplateError:
        return TemplateError.at_line(self._text, (token or self._peek()).position, reason)

    def _unexpected(self, token: Token, context: str) -> TemplateError:
        return self._error(f"unexpected {token} in {context}", token)

    # -- rules

    def _list(self) -> tuple[tuple[Node, ...], str]:
        """The nodes up to the end, an ``else`` or an ``end``, and which of the three ("" is the end)."""
        nodes: list[Node] = []
        while True:
            token = self._next()
            if token.kind is Kind.END:
                self._ahead.append(token)
                return tuple(nodes), ""
            if token.kind is Kind.TEXT:
                nodes.append(Text(token.text))
                continue
            word = self._peek_word()
            if word.kind is Kind.KEYWORD and word.text in ("else", "end"):
                self._next_word()
                if word.text == "end":
                    self._close("end")
                return tuple(nodes), word.text
            nodes.append(self._action(word))

    def _action(self, word: Token) -> Node:
        if word.kind is Kind.KEYWORD and word.text in _BRANCHES:
            self._next_word()
            return self._branch(word.text)
        if word.kind is Kind.KEYWORD and word.text in ("break", "continue"):
            self._next_word()
            if not self._loops:
                raise self._error(f"{{{{{word.text}}}}} outside {{{{range}}}}", word)
            self._close(word.text)
            return Leave(word.text)
        pipe = self._pipeline("command", Kind.RIGHT)
        return Action(pipe)

    def _branch(self, keyword: str) -> Branch:
        outer = len(self._variables)
        pipe = self._pipeline(keyword, Kind.RIGHT)
        self._loops += keyword == "range"
        then, ended_by = self._list()
        self._loops -= keyword == "range"
        otherwise: tuple[Node, ...] = ()
        if ended_by == "else":
            otherwise, ended_by = self._otherwise(keyword)
        if ended_by == "else":
            raise self._error("expected end; found {{else}}")
        if not ended_by:
            raise self._error("unexpected EOF")
        del self._variables[outer:]
        return Branch(keyword, pipe, then, otherwise)

    def _otherwise(self, keyword: str) -> tuple[tuple[Node, ...], str]:
        word = self._peek_word()
        # {{else if x}}…{{end}} is {{else}}{{if x}}…{{end}}{{end}}: the one end closes both.
        if word.kind is Kind.KEYWORD and word.text == keyword and keyword != "range":
            self._next_word()
            return (self._branch(keyword),), "end"
        self._close("else")
        return self._list()

    def _close(self, context: str) -> None:
        token = self._next_word()
        if token.kind is not Kind.RIGHT:
            raise self._unexpected(token, context)

    def _pipeline(self, context: str, end: Kind) -> Pipe:
        position = self._peek_word().position
        variables, declares = self._declarations(context)
        commands: list[Command] = []
        while True:
            token = self._peek_word()
            if token.kind is end:
                self._next_word()
                break
            if token.kind in (Kind.RIGHT, Kind.CLOSE):
                raise self._error("unclosed left paren" if end is Kind.CLOSE else "unexpected right paren", token)
            if token.kind in _NO_COMMAND and token.text != "nil":
                raise self._unexpected(token, context)
            commands.append(self._command())
        self._check(commands, context)
        self._variables += variables if declares else ()
        return Pipe(position, tuple(variables), declares, tuple(commands))

    def _check(self, commands: list[Command], context: str) -> None:
        if not commands:
            raise self._error(f"missing value for {context}")
        for number, command in enumerate(commands[1:], 2):
            if isinstance(command.operands[0], Literal):
                raise self._error(f"non executable command in pipeline stage {number}")

    def _declarations(self, context: str) -> tuple[list[str], bool]:
        """``$x :=``, ``$i, $x :=`` or ``$x =`` at the beginning, else nothing."""
        first = self._peek_word()
        if first.kind is not Kind.VARIABLE:
            return [], False
        first = self._next_word()
        space = self._next()
        after = self._next_word() if space.kind is Kind.SPACE else space
        names = [first.text]
        if after.kind is Kind.COMMA and context == "range":
            names.append(self._next_word().text)
            after = self._next_word()
        if after.kind in (Kind.DECLARE, Kind.ASSIGN):
            return names, after.kind is Kind.DECLARE
        # It was an operand: what was read is put back, the space too, which separates it from the next one.
        self._ahead += [after, *([space] if space.kind is Kind.SPACE else ()), first]
        return [], False

    def _command(self) -> Command:
        position = self._peek_word().position
        operands: list[Operand] = []
        while True:
            operands.append(self._operand())
            token = self._next()
            spaced = token.kind is Kind.SPACE
            token = self._next() if spaced else token
            if token.kind is Kind.PIPE:
                break
            self._ahead.append(token)
            if token.kind in (Kind.RIGHT, Kind.CLOSE):
                break
            if not spaced:
                raise self._unexpected(token, "operand")
        return Command(position, tuple(operands))

    def _operand(self) -> Operand:
        token = self._next_word()
        node = self._term(token)
        position = token.position
        names: list[str] = []
        while self._peek().kind is Kind.FIELD:
            field = self._next()
            # Go tells the place of the second name, and messages are compared with docker's.
            position = position if names else field.position
            names.append(field.text[1:])
        if not names:
            return node
        if isinstance(node, Field) and node.names:
            return Field(position, (*node.names, *names))
        if isinstance(node, Variable):
            return Variable(position, node.name, tuple(names))
        if isinstance(node, Pipe):
            return Chain(position, node, tuple(names))
        raise self._error(f"unexpected . after term {str(node)!r}".replace("'", '"'), token)

    def _term(self, token: Token) -> Operand:
        if token.kind is Kind.FIELD:
            return Field(token.position, (token.text[1:],))
        if token.kind is Kind.DOT:
            return Field(token.position, ())
        if token.kind is Kind.VARIABLE:
            if token.text not in self._variables:
                raise self._error(f'undefined variable "{token.text}"', token)
            return Variable(token.position, token.text, ())
        if token.kind is Kind.IDENTIFIER:
            if token.text not in self._functions:
                raise self._error(f'function "{token.text}" not defined', token)
            return Function(token.position, token.text)
        if token.kind is Kind.OPEN:
            return self._pipeline("parenthesized pipeline", Kind.CLOSE)
        if token.kind in _LITERALS or token.text == "nil":
            return Literal(token.position, self._value(token), token.text)
        raise self._unexpected(token, "operand")

    def _value(self, token: Token) -> object:
        text = token.text
        if token.kind is Kind.RAW:
            return text[1:-1]
        if token.kind is Kind.BOOL:
            return text == "true"
        if token.kind is Kind.KEYWORD:
            return None
        try:
            # Go's quoted strings and numbers are written as Python's are; a character is a number.
            value: object = ast.literal_eval(text.lstrip("+") if token.kind is Kind.NUMBER else text)
        except (ValueError, SyntaxError):
            raise self._error(f"bad literal: {text}", token) from None
        return ord(str(value)[:1]) if token.kind is Kind.CHAR else value
