"""Names for containers that were given none: an adjective and somebody to whom this course owes something."""

from __future__ import annotations

import os
from collections.abc import Container, Sequence

_HOW = (
    "brave", "calm", "clever", "curious", "eager", "gentle", "happy", "keen", "kind", "patient", "quick",
    "quiet", "witty",
)  # fmt: skip
_WHO = (
    "cerf", "dijkstra", "hamilton", "hopper", "kernighan", "knuth", "lamport", "liskov", "lovelace", "perlman",
    "ritchie", "stallings", "tanenbaum", "thompson", "torvalds", "turing",
)  # fmt: skip


def generate(taken: Container[str]) -> str:
    """A name such as ``curious_hopper`` that is not `taken`; a number follows when the pairs run out."""
    for attempt in range(1000):
        name = f"{_one_of(_HOW)}_{_one_of(_WHO)}" + (str(attempt) if attempt > 9 else "")
        if name not in taken:
            return name
    return os.urandom(8).hex()


def _one_of(words: Sequence[str]) -> str:
    # The module random would bring a tenth of all that `lab run` imports.
    return words[int.from_bytes(os.urandom(4), "little") % len(words)]
