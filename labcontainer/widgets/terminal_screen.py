"""What stands on a terminal's screen: enough of an emulator to read what shells and line editors have written.

    >>> screen = Screen(rows=2, columns=20)
    >>> screen.write(b"hello\\r\\n\\x1b[1mworld\\x1b[0m")
    'hello\\nworld'
    >>> screen.text()
    'hello\\nworld'

It knows printing, wrapping and scrolling, the cursor's moves, and erasing; colours are left out. The whole language of
a terminal (full-screen programs, other character sets, wide characters) is xterm.js's affair, in the browser.
See: man 4 console_codes
"""

from __future__ import annotations

import codecs
import re

_TOKEN = re.compile(
    r"\x1b\[(?P<private>[?>=!]?)(?P<numbers>[\d;:]*)[ -/]*(?P<final>[@-~])"  # a control sequence
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\)"  # a string, such as a window's title
    r"|\x1b[ -/]+[0-~]|\x1b[0-OQ-WYZ\\`-~]"
    r"|\x1b(?=[^ -~])"  # no sequence goes on like this
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f])"
    r"|(?P<printed>[^\x00-\x1f\x7f]+)",
    re.DOTALL,
)
# What begins with an escape and never ends is shown at last, rather than kept for ever.
_MOST_PENDING = 4096
_TAB = 8


class Screen:
    """A grid of characters and a cursor."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.x = self.y = 0
        self._lines: list[list[str]] = [[] for _ in range(rows)]
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._pending = ""

    def text(self) -> str:
        """What stands on it, without the blanks at the ends of lines and the empty lines at the end."""
        return "\n".join("".join(line).rstrip() for line in self._lines).rstrip("\n")

    def write(self, data: bytes) -> str:
        """Show `data`, and return what of it was text: printed characters and new lines."""
        text = self._pending + self._decoder.decode(data)
        plain, place = [], 0
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None:
                if len(text) - place < _MOST_PENDING:
                    break  # the end of a sequence comes with the next piece
                place += 1
                continue
            place = match.end()
            plain.append(self._show(match))
        self._pending = text[place:]
        return "".join(plain)

    def resize(self, rows: int, columns: int) -> None:
        """Give it another size; the last lines stay, and lines that are longer than it is wide are cut."""
        below = max(0, self.y + 1 - rows)
        lines = [line[:columns] for line in self._lines[below : below + rows]]
        self._lines = lines + [[] for _ in range(rows - len(lines))]
        self.rows, self.columns = rows, columns
        self.x, self.y = min(self.x, columns - 1), min(self.y - below, rows - 1)

    def _show(self, match: re.Match[str]) -> str:
        if printed := match["printed"]:
            self._print(printed)
            return printed
        if control := match["control"]:
            return self._control(control)
        if (final := match["final"]) and not match["private"]:
            given = match["numbers"].replace(":", ";").split(";")
            self._sequence(final, [int(number) if number else 0 for number in given])
        return ""

    def _print(self, text: str) -> None:
        while text:
            if self.x >= self.columns:
                self.x = 0
                self._feed()
            piece, text = text[: self.columns - self.x], text[self.columns - self.x :]
            line = self._lines[self.y]
            line += " " * (self.x - len(line))
            line[self.x : self.x + len(piece)] = piece
            self.x += len(piece)

    def _control(self, character: str) -> str:
        match character:
            case "\n" | "\v" | "\f":
                self._feed()
                return "\n"
            case "\r":
                self.x = 0
            case "\b":
                self.x = max(0, min(self.x, self.columns - 1) - 1)
            case "\t":
                self.x = min(self.columns - 1, (self.x // _TAB + 1) * _TAB)
                return "\t"
        return ""

    def _feed(self) -> None:
        if self.y == self.rows - 1:
            del self._lines[0]
            self._lines.append([])
        else:
            self.y += 1

    def _sequence(self, final: str, numbers: list[int]) -> None:
        count = max(1, numbers[0])
        match final:
            case "A":
                self.y = max(0, self.y - count)
            case "B" | "e":
                self.y = min(self.rows - 1, self.y + count)
            case "C" | "a":
                self.x = min(self.columns - 1, self.x + count)
            case "D":
                self.x = max(0, min(self.x, self.columns - 1) - count)
            case "G" | "`":
                self.x = min(self.columns, count) - 1
            case "d":
                self.y = min(self.rows, count) - 1
            case "H" | "f":
                column = max(1, numbers[1]) if len(numbers) > 1 else 1
                self.y, self.x = min(self.rows, count) - 1, min(self.columns, column) - 1
            case "J":
                self._erase_screen(numbers[0])
            case "K":
                self._erase_line(numbers[0])
            case "P":
                del self._lines[self.y][self.x : self.x + count]
            case "@":
                line = self._lines[self.y]
                line[self.x : self.x] = " " * count
                del line[self.columns :]

    def _erase_screen(self, which: int) -> None:
        self._erase_line(which)
        if which in (0, 2, 3):
            self._lines[self.y + 1 :] = [[] for _ in self._lines[self.y + 1 :]]
        if which in (1, 2, 3):
            self._lines[: self.y] = [[] for _ in self._lines[: self.y]]

    def _erase_line(self, which: int) -> None:
        line = self._lines[self.y]
        if which in (0, 2, 3):
            del line[0 if which else self.x :]
        elif which == 1:
            line[: self.x + 1] = " " * min(self.x + 1, len(line))
