"""Names for containers that were given none: an adjective and somebody to whom this course owes something."""

from __future__ import annotations

import random
from collections.abc import Container

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
        name = f"{random.choice(_HOW)}_{random.choice(_WHO)}" + (str(attempt) if attempt > 9 else "")
        if name not in taken:
            return name
    return f"{random.getrandbits(64):016x}"
