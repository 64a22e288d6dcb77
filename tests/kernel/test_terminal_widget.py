"""The terminal widget without a browser: a real shell in a real container, typed at from Python."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from labcontainer.errors import StateError
from labcontainer.widgets import Terminal
from labcontainer.widgets import terminal as module
from tests.kernel.conftest import eventually

if TYPE_CHECKING:
    from labcontainer.engine import Container, Engine

pytestmark = pytest.mark.usefixtures("needs_userns")


@pytest.fixture
def pet(lab: Engine) -> Iterator[Container]:
    container = lab.containers.run("lab/base", ["sleep", "600"], detach=True)
    yield container
    container.remove(force=True)


def said(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], bytes]]:
    """What is sent to the browser from now on."""
    sent: list[tuple[dict[str, Any], bytes]] = []
    monkeypatch.setattr(terminal.stage, "send", lambda content, buffers=(): sent.append((content, b"".join(buffers))))
    return sent


def test_a_shell_in_a_container_is_typed_at_and_read(pet: Container) -> None:
    with Terminal(pet, "sh") as shell:
        shell.feed("echo $((6 * 7)) && tty\n")
        shell.wait_for("42")
        shell.wait_for("/dev/pts/0")
        assert shell.screen().splitlines()[-2:-1] == ["/dev/pts/0"] or "/dev/pts/0" in shell.screen()
        shell.feed("exit 3\n")
        assert eventually(lambda: shell.exit_code == 3)
        assert shell.stage.shown["sentence"].startswith("It has ended. 3: ")
        with pytest.raises(EOFError):
            shell.wait_for("never")


def test_the_size_of_the_terminal_is_the_programs(pet: Container) -> None:
    with Terminal(pet, ["sh", "-c", "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done"]) as shell:
        shell.wait_for("24 80")
        shell.stage._handle_custom_msg({"verb": "resize", "rows": 30, "columns": 100}, [])
        shell.wait_for("30 100")
        shell.feed(b"\x03")
        assert eventually(lambda: shell.exit_code == 130)


def test_bytes_go_both_ways_as_they_are(pet: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    every = bytes(range(256))
    with Terminal(pet, ["sh", "-c", "stty raw -echo; echo ready; head -c 256 | cat; echo done"]) as shell:
        sent = said(shell, monkeypatch)
        shell.wait_for("ready")
        shell.stage._handle_custom_msg({"verb": "open", "page": "p"}, [])
        shell.stage._handle_custom_msg(
            {"verb": "type", "page": "p"}, [memoryview(every[:100]), memoryview(every[100:])]
        )
        shell.wait_for("done")
        assert every in b"".join(data for _, data in sent)


def test_more_is_pasted_than_the_program_takes_at_once(pet: Container) -> None:
    with Terminal(pet, ["sh", "-c", "stty raw -echo; echo ready; sleep 0.3; head -c 300000 | wc -c"]) as shell:
        shell.wait_for("ready")
        shell.feed(b"x" * 300_000)
        assert "300000" in shell.wait_for("300000")


def test_a_slow_page_slows_the_program_and_a_page_that_is_gone_does_not(
    pet: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_GONE_AFTER_S", 600)
    with Terminal(pet, ["sh", "-c", "read go; seq 300000; echo the-end"]) as shell:
        sent = said(shell, monkeypatch)
        shell.stage._handle_custom_msg({"verb": "open", "page": "p"}, [])
        shell.feed("\n")
        assert eventually(lambda: shell._pages["p"].undrawn_bytes > module._MOST_UNDRAWN_BYTES)
        assert shell._held()
        held = sum(len(data) for _, data in sent)
        shell.stage._handle_custom_msg({"verb": "drawn", "page": "p", "bytes": held}, [])
        assert eventually(lambda: sum(len(data) for _, data in sent) > held)
        monkeypatch.setattr(module, "_GONE_AFTER_S", 0)
        shell.wait_for("the-end")
        shell.stage._handle_custom_msg({"verb": "drawn", "page": "p", "bytes": 1}, [])
        assert sent[-1][0] == {"kind": "begin", "pages": ["p"]}
        assert sent[-1][1].endswith(b"the-end\r\n")
        assert len(sent[-1][1]) <= 2 * module._KEPT_BYTES


def test_a_page_that_comes_later_is_shown_what_was_before(pet: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    with Terminal(pet, "sh") as shell:
        shell.feed("echo be''fore\n")
        shell.wait_for("before")
        sent = said(shell, monkeypatch)
        shell.stage._handle_custom_msg({"verb": "open", "page": "late"}, [])
        assert sent[0][0] == {"kind": "begin", "pages": ["late"]}
        assert b"before" in sent[0][1]


def test_detaching_from_process_1_leaves_the_container_and_one_can_come_back(lab: Engine) -> None:
    container = lab.containers.run("lab/base", ["sh"], detach=True, tty=True, stdin_open=True)
    with Terminal(container) as first:
        first.feed("A=kept\n")
        first.feed("echo $A-it\n")
        first.wait_for("kept-it")
        first.stage._handle_custom_msg({"verb": "detach"}, [])
        assert (first.attached, container.status) == (False, "running")
        first.feed("echo lost\n")
        first.stage._handle_custom_msg({"verb": "attach"}, [])
        first.feed("echo again-$A\n")
        first.wait_for("again-kept")
        assert "lost" not in first.screen()
    assert container.status == "running"
    container.remove(force=True)


def test_a_container_without_a_terminal_is_looked_at_and_its_end_seen(pet: Container) -> None:
    with Terminal(pet) as looking:
        assert looking.stage.shown["newlines"]
        assert "takes no input" in looking.stage.shown["about"]
        pet.kill()
        assert eventually(lambda: looking.exit_code == 137)
        looking.stage._handle_custom_msg({"verb": "attach"}, [])
        assert "cannot attach" in looking.stage.shown["error"].lower()
        with pytest.raises(StateError):
            looking.attach()


def test_a_line_whose_monitor_is_killed_is_lost(pet: Container) -> None:
    with Terminal(pet) as looking:
        monitor = pet.state.monitor
        assert monitor is not None
        os.kill(monitor.pid, 9)
        assert eventually(lambda: looking.stage.shown["line"] == "lost")
