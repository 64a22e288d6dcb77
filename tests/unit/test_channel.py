from __future__ import annotations

from labcontainer.runtime import channel


def test_the_last_words_of_one_who_has_not_read_what_was_sent_are_heard() -> None:
    """A container that cannot be made: its monitor says why, and ends without having read the word to start."""
    ours, theirs = channel.pair()
    with ours:
        with theirs:
            channel.send(ours, "start")
            channel.send(theirs, "failed", cause="why")
        message = channel.receive(ours)
        assert message is not None
        assert message.body == {"kind": "failed", "cause": "why"}
        assert channel.receive(ours) is None
