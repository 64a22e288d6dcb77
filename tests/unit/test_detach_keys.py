from __future__ import annotations

import click
import pytest

from labcontainer.cli.keys import DEFAULT, DetachKeys, parse


def test_the_default_keys_detach_wherever_the_terminal_cuts_them() -> None:
    whole, cut = DetachKeys(DEFAULT), DetachKeys(DEFAULT)
    assert whole.take(b"ls\n\x10\x11rest") == (b"ls\n", True)
    assert [cut.take(b"\x10"), cut.take(b"\x11")] == [(b"", False), (b"", True)]


def test_a_beginning_that_leads_nowhere_is_passed_on() -> None:
    keys = DetachKeys(DEFAULT)
    assert keys.take(b"\x10x\x10\x10") == (b"\x10x\x10", False)
    assert keys.take(b"\x11") == (b"", True)


def test_no_keys_never_detach() -> None:
    assert DetachKeys("").take(b"\x10\x11") == (b"\x10\x11", False)


def test_keys_are_characters_or_control_characters() -> None:
    assert parse("a,ctrl-a,ctrl-@,ctrl-[,ctrl-_") == bytes([ord("a"), 1, 0, 27, 31])
    for wrong in ("ctrl-", "ctrl-é", "ab", ",", "shift-a"):
        with pytest.raises(click.UsageError, match="is no key"):
            parse(wrong)
