"""What a process inside a container reads from and writes to, and the keeper's ends of it.

    container                       keeper (a monitor, or what stays with an exec)
    fd 0  ◄── stdin  ◄────────────── writes what clients send        with a terminal: one pseudo-terminal
    fd 1  ──► stdout ──────────────► reads, logs, sends to clients   for all three
    fd 2  ──► stderr ──────────────►

A container's pipes are FIFOs in its directory. Its own ends are opened for reading *and* writing, so a pipe always has
a reader: when a monitor is killed the container is not (no SIGPIPE, no lost byte), and the next monitor opens the same
FIFOs again. An exec ends with its keeper's interest, so there pipes without a name do.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from labcontainer.kernel import file, process
from labcontainer.kernel.file import OpenFlag

_NAMES = ("stdin", "stdout", "stderr")


@dataclass(slots=True)
class Streams:
    """The keeper's descriptors, none of which blocks. With a terminal `stdin` and `stdout` are its controller."""

    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None

    @property
    def terminal(self) -> int | None:
        """The terminal's controller, if there is one."""
        return self.stdin if self.stdin == self.stdout else None

    def close(self) -> None:
        """Close all of them."""
        for fd in {self.stdin, self.stdout, self.stderr} - {None}:
            with contextlib.suppress(OSError):
                os.close(fd)  # type: ignore[arg-type]  # None was taken out
        self.stdin = self.stdout = self.stderr = None


def fifos(directory: Path, *, interactive: bool) -> tuple[Streams, tuple[int, int, int]]:
    """Make the FIFOs in `directory`: the keeper's ends, and those for the container's 0, 1 and 2.

    Raises: OSError. See: man 7 fifo
    """
    for name in _NAMES[0 if interactive else 1 :]:
        (directory / name).unlink(missing_ok=True)
        file.mknod(directory / name, stat.S_IFIFO | 0o600)
    inner_out, inner_err = (os.open(directory / name, os.O_RDWR | os.O_CLOEXEC) for name in _NAMES[1:])
    if interactive:
        # Opened before there is a writer, which a blocking open would wait for; the container's own reads do block.
        inner_in = os.open(directory / "stdin", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(inner_in, True)
    else:
        inner_in = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    return reopen(directory), (inner_in, inner_out, inner_err)


def reopen(directory: Path) -> Streams:
    """The keeper's ends of FIFOs that a keeper before us has made. What has gone is None. See: man 7 fifo"""
    streams = Streams()
    with contextlib.suppress(OSError):  # ENOENT: it has no stdin; ENXIO: nobody reads it any more
        streams.stdin = os.open(directory / "stdin", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with contextlib.suppress(FileNotFoundError):  # it has a terminal
        streams.stdout = os.open(directory / "stdout", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        streams.stderr = os.open(directory / "stderr", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    return streams


def pipes(*, interactive: bool) -> tuple[Streams, tuple[int, int, int]]:
    """Pipes without a name: the keeper's ends, and those for the process's 0, 1 and 2. See: man 7 pipe"""
    out_read, out_write = process.pipe2(OpenFlag.O_CLOEXEC)
    err_read, err_write = process.pipe2(OpenFlag.O_CLOEXEC)
    streams = Streams(None, out_read, err_read)
    if interactive:
        in_read, streams.stdin = process.pipe2(OpenFlag.O_CLOEXEC)
        os.set_blocking(streams.stdin, False)
    else:
        in_read = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    for fd in (out_read, err_read):
        os.set_blocking(fd, False)
    return streams, (in_read, out_write, err_write)


def terminal(controller: int) -> Streams:
    """The streams of a process whose terminal has the controlling side `controller`."""
    os.set_blocking(controller, False)
    return Streams(controller, controller, None)


def waiting_bytes(fd: int) -> int:
    """How much a pipe can hold at most: after its last writer nothing beyond that can come. See: man 7 pipe"""
    try:
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    except OSError:
        return 65536  # a terminal's buffer is smaller
