"""The screen that Python reads, byte by byte as a shell would send them."""

from __future__ import annotations

import pytest

from labcontainer.widgets import terminal_model as model
from labcontainer.widgets.terminal_model import Line
from labcontainer.widgets.terminal_screen import Screen


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"one\r\ntwo", "one\ntwo"),
        (b"12345678901", "1234567890\n1"),  # wrapped at the tenth
        (b"1234567890\r\nx", "1234567890\nx"),  # a full line and a new one are not two lines
        (b"abc\rX", "Xbc"),
        (b"abc\b\bX", "aXc"),
        (b"a\tb", "a       b"),
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"\x1b]0;title\x07text", "text"),
        (b"\x1b]0;title\x1b\\text", "text"),
        (b"\x1b[?2004h$ ", "$"),
        (b"a\r\nb\r\nc\r\nd", "b\nc\nd"),  # scrolled
        (b"one\x1b[2J\x1b[Htwo", "two"),
        (b"abcdef\x1b[3D\x1b[K", "abc"),
        (b"abcdef\r\x1b[2P", "cdef"),
        (b"ab\r\x1b[2@", "  ab"),
        (b"one\r\ntwo\x1b[A\rX", "Xne\ntwo"),
        (b"\x1b[2;3Hx\x1b[1;1Hy", "y\n  x"),
        (b"one\x1b[2D\x1b[1K", "  e"),
        (b"\x1b[9Cx\x1b[5Gy\x1b[3dz", "    y    x\n\n     z"),
        (b"\xc3\xa4\xe2\x82\xac\xff", "ä€�"),
        (b"\x1b(Bplain\x1b=", "plain"),
        (b"a\x1b\rb", "b"),  # an escape of which nothing comes
    ],
)
def test_the_screen_shows_what_a_terminal_would(written: bytes, shown: str) -> None:
    whole = Screen(3, 10)
    whole.write(written)
    assert whole.text() == shown
    pieces = Screen(3, 10)
    for byte in written:
        pieces.write(bytes([byte]))
    assert pieces.text() == shown


def test_what_was_written_is_told_as_text_without_its_colours() -> None:
    assert Screen(3, 20).write(b"\x1b[32mok\x1b[0m\r\nnext") == "ok\nnext"


def test_an_escape_that_never_ends_is_shown_at_last() -> None:
    screen = Screen(3, 10)
    screen.write(b"\x1b]" + b"x" * 5000)
    screen.write(b"\r\nstill here")
    assert "still here" in screen.text()


def test_after_a_resize_the_last_lines_and_the_cursor_are_there() -> None:
    screen = Screen(3, 10)
    screen.write(b"1\r\n2\r\n3")
    screen.resize(2, 5)
    screen.write(b"x")
    assert screen.text() == "2\n3x"
    screen.resize(4, 10)
    screen.write(b"\r\n4")
    assert screen.text() == "2\n3x\n4"


def test_the_frame_says_how_the_line_stands() -> None:
    assert model.view("pet", "sh", Line.ATTACHED).again == ""
    assert (
        model.view("pet", "sh", Line.ENDED, exit_code=137).sentence == "It has ended. 137 = 128 + 9: ended by SIGKILL."
    )
    assert model.view("pet", "", Line.DETACHED).again == "Attach again"
    assert "no input" in model.view("pet", "", Line.ATTACHED, takes_input=False).about
    assert model.view("pet", "", Line.ATTACHED, tty=False).newlines


def test_the_page_without_a_kernel_is_the_screen_as_text() -> None:
    page = model.html(model.view("pet", "sh", Line.ATTACHED), "<b> / # </b>")
    assert "&lt;b&gt; / # &lt;/b&gt;" in page
    assert model.text() == "Terminal: what a program in a container shows, and the keys that it gets"
