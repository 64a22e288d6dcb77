"""A container with a terminal: what it sees of it, and what comes through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from labcontainer.runtime.client import Connection, Exit

if TYPE_CHECKING:
    from labcontainer.engine import Container, Engine


class Session:
    """A container with a terminal, and what it has written so far."""

    def __init__(self, container: Container, connection: Connection) -> None:
        self.container = container
        self.connection = connection
        self.output = b""
        self.streams: set[int | None] = set()

    def until(self, text: bytes) -> None:
        while text not in self.output:
            message = self.connection.receive()
            assert message.kind != "exited", self.output
            self.output += message.data
            if message.data:
                self.streams.add(message.stream)

    def ended(self) -> Exit:
        pieces: list[bytes] = []
        found = self.connection.pump(lambda stream, data: pieces.append(data))
        self.output += b"".join(pieces)
        return found


@pytest.fixture
def session(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Session]:
    command = ["sh", "-c", request.param]
    container, connection = engine.containers.open("lab/base", command, tty=True, stdin_open=True)
    connection.resize(33, 101)
    connection.attach()
    connection.start()
    yield Session(container, connection)
    connection.close()
    container.remove(force=True)


def script(text: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("session", [text], indirect=True, ids=["sh"])


@script("test -t 0 && test -t 1 && test -t 2 && echo all three; tty; echo $TERM; stty size")
def test_stdin_stdout_and_stderr_are_one_terminal_of_the_size_that_was_given(session: Session) -> None:
    assert session.ended().code == 0
    assert session.output.split(b"\r\n") == [b"all three", b"/dev/pts/0", b"xterm", b"33 101", b""]


@script("echo out; echo err >&2; read line")
def test_a_terminal_is_one_stream_and_its_log_too(session: Session) -> None:
    session.until(b"err")
    assert session.streams == {1}
    assert session.container.logs(stderr=False) == session.output
    assert session.container.logs(stdout=False) == b""


@script("trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done")
def test_a_new_size_comes_with_a_sigwinch(session: Session) -> None:
    session.until(b"ready")
    session.connection.resize(7, 13)
    session.until(b"7 13")


@script("trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.05; done")
def test_ctrl_c_is_a_sigint_for_the_foreground(session: Session) -> None:
    session.until(b"ready")
    session.connection.feed(b"\x03")
    assert session.ended().code == 9
    assert session.output.endswith(b"interrupted\r\n")


@script("cat; echo end")
def test_ctrl_d_ends_the_input_and_what_was_typed_is_echoed(session: Session) -> None:
    session.connection.feed(b"typed\n\x04")
    assert session.ended().code == 0
    assert session.output == b"typed\r\ntyped\r\nend\r\n"


@script("echo ready; sleep 60")
def test_a_killed_container_with_a_terminal_ends_with_137(session: Session) -> None:
    session.until(b"ready")
    session.container.kill()
    assert session.ended().code == 137


@script("stty raw -echo; echo ready; head -c 200000 | wc -c")
def test_a_long_paste_arrives_whole(session: Session) -> None:
    session.until(b"ready")
    for _ in range(200):
        session.connection.feed(b"x" * 1000)
    assert session.ended().code == 0
    assert session.output.split() == [b"ready", b"200000"]
