"""The keys that detach a terminal from its container: docker's ``--detach-keys``, ctrl-p ctrl-q by default.

>>> keys = DetachKeys("ctrl-p,ctrl-q")
>>> keys.take(b"ls\\x10"), keys.take(b"\\x11")
((b'ls', False), (b'', True))
"""

from __future__ import annotations

import click

DEFAULT = "ctrl-p,ctrl-q"
# ctrl-a is 1, ctrl-b 2 … and behind ctrl-z these five.
_BEHIND_Z = "[\\]^_"


class DetachKeys:
    """Looks for the keys in what is typed; a beginning of them waits until the next key tells."""

    def __init__(self, text: str) -> None:
        self._keys = parse(text)
        self._seen = b""

    def take(self, typed: bytes) -> tuple[bytes, bool]:
        """What is to be passed on, and whether all of the keys have come; what follows them is dropped."""
        on = b""
        for byte in typed:
            self._seen += bytes([byte])
            while self._seen and not self._keys.startswith(self._seen):
                on, self._seen = on + self._seen[:1], self._seen[1:]
            if self._keys and self._seen == self._keys:
                return on, True
        return on, False


def parse(text: str) -> bytes:
    """``a``, ``ctrl-@``, ``ctrl-a`` … ``ctrl-_``, separated by commas; empty for no keys. Raises: click.UsageError."""
    return bytes(_key(part) for part in text.split(",")) if text else b""


def _key(part: str) -> int:
    name = part.lower().removeprefix("ctrl-")
    if part.lower().startswith("ctrl-") and len(name) == 1:
        if name == "@":
            return 0
        if "a" <= name <= "z":
            return ord(name) - ord("a") + 1
        if name in _BEHIND_Z:
            return 27 + _BEHIND_Z.index(name)
    elif len(part) == 1 and ord(part) < 128:
        return ord(part)
    raise click.UsageError(
        f"--detach-keys: {part!r} is no key: write one character, or ctrl- and one of a-z @ [ \\ ] ^ _"
    )
