"""What strace(1) wrote, read back: one `Line` a system call, and values in a form in which two notations compare.

    4242  mount("none", "/mnt", "tmpfs", MS_NOSUID, NULL) = -1 EPERM (Operation not permitted)

`value` reads strace's notation and the trace's, which is the same but for details: fields and flags in another order,
capabilities as ``1<<CAP_CHOWN``, octal or decimal.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# Numbers and names that were joined by |, a structure's fields, a list's members, or text.
Value = frozenset[int | str] | dict[str, "Value"] | list["Value"] | str

FORKS = ("clone", "clone3", "fork", "vfork")
_START = re.compile(r"(?P<pid>\d+) +(?P<call>\w+)\((?P<rest>.*)", re.DOTALL)
_RESUMED = re.compile(r"(?P<pid>\d+) +<\.\.\. (?P<call>\w+) resumed>(?P<rest>.*)", re.DOTALL)
_RESULT = re.compile(
    r"(?P<arguments>.*)\)\s+= (?P<result>\?|-?\w+)(?: (?P<errno>E\w+)| /\* (?P<outside>\d+) in .*)?", re.DOTALL
)
_ESCAPE = re.compile(r'\\([0-7]{1,3}|x[0-9a-f]{2}|["\\nrtvf])')
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "v": "\v", "f": "\f", '"': '"', "\\": "\\"}
_TOKEN = re.compile(
    r"""\s*(?:/\*.*?\*/\s*)*             # strace's remarks
    (?P<token>"(?:[^"\\]|\\.)*"(?:\.\.\.)?   # text
    | => | \|\| | [][{}(),=|]            # what is between values
    | [^][{}(),=|\s"]+                   # a number or a name
    )\s*(?:/\*.*?\*/\s*)*""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Line:
    """One system call of process `pid`; `result` is None where strace saw none, `errno` a name.

    `born` is the process that the call has made, by the number that strace gives it; `result` the caller's number.
    """

    pid: int
    call: str
    text: str
    result: int | None
    errno: str | None
    born: int | None

    @property
    def arguments(self) -> tuple[Value, ...]:
        """The arguments, for the calls in whose arguments strace keeps to its notation: not rt_sigaction's."""
        return tuple(_arguments(_Tokens(self.text)))


def read(text: str) -> tuple[Line, ...]:
    """All calls in the order in which they began."""
    began: dict[int, tuple[int, str]] = {}
    found: dict[int, Line] = {}
    for place, raw in enumerate(text.split("\n")):
        if started := _START.match(raw):
            rest = started["rest"]
            if rest.endswith("<unfinished ...>"):
                began[int(started["pid"])] = place, f"{started['call']}({rest.removesuffix('<unfinished ...>')}"
                continue
            found[place] = _line(int(started["pid"]), started["call"], rest)
        elif resumed := _RESUMED.match(raw):
            first, so_far = began.pop(int(resumed["pid"]))
            found[first] = _line(int(resumed["pid"]), resumed["call"], so_far.partition("(")[2] + resumed["rest"])
    return tuple(found[place] for place in sorted(found))


def value(text: str) -> Value:
    """One argument, as strace or the trace writes it."""
    tokens = _Tokens(text)
    found = _value(tokens)
    assert tokens.next is None, f"{tokens.next!r} follows a value in {text!r}"
    return found


def _line(pid: int, call: str, rest: str) -> Line:
    found = _RESULT.match(rest)
    assert found, f"{call}({rest}"
    result = None if found["result"] == "?" else number(found["result"])
    born = int(found["outside"] or result or 0) if call in FORKS and not found["errno"] else None
    return Line(pid, call, found["arguments"], result, found["errno"], born)


def number(text: str) -> int:
    """A number in C: octal with a leading 0; strace writes some as ``8192*1024``."""
    return math.prod(int(part, 8) if re.fullmatch(r"0[0-7]+", part) else int(part, 0) for part in text.split("*"))


class _Tokens:
    """The text's tokens, one looked at ahead."""

    def __init__(self, text: str) -> None:
        self._matches: Iterator[re.Match[str]] = _TOKEN.finditer(text)
        self.next: str | None = None
        self.take()

    def take(self) -> str:
        taken, match = self.next, next(self._matches, None)
        self.next = match["token"] if match else None
        return taken or ""


def _arguments(tokens: _Tokens) -> Iterable[Value]:
    while tokens.next is not None:
        found = _value(tokens)
        if tokens.next == "=":  # clone(child_stack=NULL, flags=SIGCHLD)
            tokens.take()
            found = _value(tokens)
        yield found
        if tokens.next == "=>":  # what the Linux kernel has written back
            tokens.take()
            _value(tokens)
        if tokens.next is not None:
            assert tokens.take() == ",", tokens.next


def _value(tokens: _Tokens) -> Value:
    token = tokens.next
    if token == "{":
        return _structure(tokens)
    if token == "[":
        return _list(tokens)
    if token is not None and token.startswith('"'):
        return _text(tokens.take())
    atoms: set[int | str] = set()
    while True:
        atoms |= _atom(tokens)
        if tokens.next != "|":
            return frozenset(atoms)
        tokens.take()


def _structure(tokens: _Tokens) -> dict[str, Value]:
    tokens.take()
    fields: dict[str, Value] = {}
    while tokens.next != "}":
        name = tokens.take()
        if tokens.next == "=":
            tokens.take()
            fields[name] = _value(tokens)
        if tokens.next == ",":
            tokens.take()
    tokens.take()
    return fields


def _list(tokens: _Tokens) -> list[Value]:
    tokens.take()
    members = []
    while tokens.next != "]":
        members.append(_value(tokens))
        if tokens.next == ",":
            tokens.take()
    tokens.take()
    return members


def _atom(tokens: _Tokens) -> set[int | str]:
    token = tokens.take()
    if tokens.next == "(":  # makedev(0x1, 0x3)
        tokens.take()
        inside = []
        while tokens.next != ")":
            inside += sorted(_atom(tokens) or {0}, key=str)
            if tokens.next in (",", "|"):
                tokens.take()
        tokens.take()
        return {f"{token}({', '.join(map(str, inside))})"}
    token = token.removeprefix("1<<")
    if re.fullmatch(r"-?\d[\w*]*", token):
        return {each for each in [number(token)] if each}
    # Reading is what open does without a flag.
    return {each for each in [token] if each != "O_RDONLY"}


def _text(token: str) -> str:
    def plain(escape: re.Match[str]) -> str:
        what = escape[1]
        return _LETTERS.get(what) or chr(int(what[1:], 16) if what[0] == "x" else int(what, 8))

    return _ESCAPE.sub(plain, token.removesuffix("...")[1:-1])
