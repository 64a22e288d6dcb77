"""From a template's text to tokens.

Between ``{{`` and ``}}`` spaces separate operands (``.A .B`` are two, ``.A.B`` is one), so they are tokens too. A minus
beside a delimiter (``{{-``, ``-}}``) takes away the white space of the text beyond it.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from labcontainer.cli.template.errors import TemplateError

KEYWORDS = frozenset({"if", "else", "end", "range", "with", "break", "continue", "nil"})


class Kind(enum.StrEnum):
    """What a token is."""

    TEXT = "text"
    LEFT = "{{"
    RIGHT = "}}"
    SPACE = "space"
    FIELD = "field"  # .Name
    DOT = "."
    VARIABLE = "variable"  # $name, $
    KEYWORD = "keyword"
    IDENTIFIER = "identifier"
    BOOL = "bool"
    STRING = "string"
    RAW = "raw string"
    CHAR = "character"
    NUMBER = "number"
    DECLARE = ":="
    ASSIGN = "="
    PIPE = "|"
    OPEN = "("
    CLOSE = ")"
    COMMA = ","
    END = "EOF"


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its text as it stands in the template, at `position`."""

    kind: Kind
    text: str
    position: int

    def __str__(self) -> str:
        if self.kind is Kind.END:
            return "EOF"
        return f"<{self.text}>" if self.kind in (Kind.KEYWORD, Kind.DOT) else f'"{self.text}"'


# The first that matches is taken. A word that goes on (1x, .a-b) is caught by what may follow it, below.
_TOKENS = re.compile(
    "|".join(
        f"(?P<{kind.name}>{pattern})"
        for kind, pattern in (
            (Kind.SPACE, r"\s+"),
            (Kind.NUMBER, r"[+-]?(?:0[xX][0-9a-fA-F_]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"),
            (Kind.FIELD, r"\.[^\W\d]\w*"),
            (Kind.DOT, r"\."),
            (Kind.VARIABLE, r"\$\w*"),
            (Kind.IDENTIFIER, r"[^\W\d]\w*"),
            (Kind.STRING, r'"(?:[^"\\\n]|\\.)*"'),
            (Kind.RAW, r"`[^`]*`"),
            (Kind.CHAR, r"'(?:[^'\\\n]|\\.)+'"),
            (Kind.DECLARE, r":="),
            (Kind.ASSIGN, r"="),
            (Kind.PIPE, r"\|"),
            (Kind.OPEN, r"\("),
            (Kind.CLOSE, r"\)"),
            (Kind.COMMA, r","),
        )
    )
)
_RIGHT = re.compile(r"\s+-}}|}}")
_WORDS = (Kind.NUMBER, Kind.FIELD, Kind.VARIABLE, Kind.IDENTIFIER)
_AFTER_A_WORD = re.compile(r"[\s.,|:=)(]|-?}}|$")
_COMMENT = re.compile(r"/\*.*?\*/(\s+-)?}}", re.DOTALL)
_UNFINISHED = {
    '"': "unterminated quoted string",
    "`": "unterminated raw quoted string",
    "'": "unterminated character constant",
}


def tokens(text: str) -> Iterator[Token]:
    """The tokens of `text`, the last of kind END. Raises: TemplateError."""
    place, trim = 0, False
    while True:
        left = text.find("{{", place)
        passage = text[place:] if left < 0 else text[place:left]
        trim_right = text.startswith("{{-", left) and text[left + 3 : left + 4].isspace() if left >= 0 else False
        shown = passage.lstrip() if trim else passage
        shown = shown.rstrip() if trim_right else shown
        if shown:
            yield Token(Kind.TEXT, shown, place)
        if left < 0:
            yield Token(Kind.END, "", len(text))
            return
        inside = left + (3 if trim_right else 2)
        start = len(text) - len(text[inside:].lstrip()) if trim_right else inside
        if text.startswith("/*", start):
            place, trim = _comment(text, start)
            continue
        yield Token(Kind.LEFT, "{{", left)
        place, trim = yield from _action(text, start if trim_right else inside)


def _comment(text: str, start: int) -> tuple[int, bool]:
    match = _COMMENT.match(text, start)
    if not match:
        closed = text.find("*/", start) >= 0
        raise TemplateError.at_line(
            text, start, "comment ends before closing delimiter" if closed else "unclosed comment"
        )
    return match.end(), match[1] is not None


def _action(text: str, place: int) -> Generator[Token, None, tuple[int, bool]]:
    """The tokens up to and with ``}}``; returns where the text goes on, and whether it is to be trimmed there."""
    while True:
        if match := _RIGHT.match(text, place):
            yield Token(Kind.RIGHT, "}}", place)
            return match.end(), len(match[0]) > 2
        match = _TOKENS.match(text, place)
        if match is None:
            raise TemplateError.at_line(text, place, _complaint(text, place))
        kind = Kind[match.lastgroup or ""]
        if kind in _WORDS and not _AFTER_A_WORD.match(text, match.end()):
            _refuse(text, match, kind)
        word = match[0]
        if kind is Kind.IDENTIFIER and word in ("true", "false"):
            kind = Kind.BOOL
        elif kind is Kind.IDENTIFIER and word in KEYWORDS:
            kind = Kind.KEYWORD
        yield Token(kind, word, place)
        place = match.end()


def _complaint(text: str, place: int) -> str:
    if place >= len(text):
        return "unclosed action"
    character = text[place]
    return _UNFINISHED.get(character) or f'unexpected "{character}" in command'


def _refuse(text: str, match: re.Match[str], kind: Kind) -> None:
    follows = text[match.end()]
    if kind is Kind.NUMBER:
        raise TemplateError.at_line(text, match.start(), f'bad number syntax: "{match[0]}{follows}"')
    raise TemplateError.at_line(text, match.start(), f"bad character U+{ord(follows):04X} '{follows}'")
