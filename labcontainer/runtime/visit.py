"""The client's side of a `visitor`: start one, ask it, hear its answer. May run in a process with threads.

>>> with Visit() as guest:
...     guest.ask("enter", place=place.to_json())
...     guest.ask("stat", path="/etc/hostname")["stat"]["size"]
13
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from labcontainer.errors import HostError
from labcontainer.runtime import channel, fault

_COMMAND = [sys.executable, "-I", "-X", "utf8", "-m", "labcontainer.runtime.visitor"]


class Visit:
    """One helper process and the channel to it. Close it, or leave its ``with``; then its mounts go with it."""

    def __init__(self) -> None:
        self._socket, theirs = channel.pair()
        with theirs:
            self._process = subprocess.Popen(
                _COMMAND,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                # Its own: a container's name service, locale or language must not reach it through a variable.
                env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
            )

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The helper's number on the host."""
        return self._process.pid

    def ask(self, kind: str, *, fds: Sequence[int] = (), **fields: Any) -> dict[str, Any]:
        """Ask, and wait for the answer. Raises: the error that it met, as a LabError; HostError where it died."""
        self.begin(kind, fds=fds, **fields)
        return self.end()

    def begin(self, kind: str, *, fds: Sequence[int] = (), **fields: Any) -> None:
        """Ask, and do not wait: there is data to be read or written first. `fds` are the helper's from now on."""
        # Where it has died nobody reads this; `end` tells of it.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            channel.send(self._socket, kind, fds=fds, **fields)

    def end(self) -> dict[str, Any]:
        """Wait for the answer to `begin`. Raises: as `ask`."""
        try:
            message = channel.receive(self._socket)
        except ConnectionResetError:
            message = None
        if message is None:
            raise HostError("a helper process", remedy="make install", reason=self._last_words())
        if message.kind == "failed":
            raise fault.from_json(message.body["error"])
        return message.body

    def close(self) -> None:
        """Hang up and see it gone."""
        if self._process.returncode is not None:
            return
        self._socket.close()
        # It may be waiting for an archive that nobody will write: it holds nothing that must be put away in order.
        self._process.kill()
        self._process.communicate()

    def _last_words(self) -> str:
        self._socket.close()
        _, said = self._process.communicate()
        return said.decode(errors="replace").strip().rpartition("\n")[2] or f"exit code {self._process.returncode}"
