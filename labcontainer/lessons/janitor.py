"""Whoever ends a notebook kernel, its lab is cleared away: a small process waits for that, and does it.

    notebook kernel                         janitor (own session)
      │ ── a pipe that is never written ──►  │ reads: blocks
      ╳ exit, restart, or SIGKILL            │ end of file
                                             │ containers, zygote, mounts, files: gone

The lab's lock file is held by the janitor. A lab whose lock is free has lost its janitor too (the machine was switched
off), and the next lab's janitor clears it away.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

LOCK = "lock"


def start(root: Path, run: Path) -> Callable[[], None]:
    """Start a janitor for the lab with these directories; calling the result makes it clear up, and waits for it."""
    # The lock is taken here, before another janitor could find the new directory and think it abandoned.
    lock = os.open(root / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "labcontainer.lessons.janitor", str(root), str(run), str(lock)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(lock,),
            start_new_session=True,  # an interrupt of the notebook kernel must not reach it
        )
    finally:
        os.close(lock)

    def stop() -> None:
        if process.stdin is not None:
            process.stdin.close()
        process.wait()

    return stop


def main() -> None:
    """Wait for the end of stdin, then clear away the lab in argv and every lab that has been abandoned."""
    root, run = Path(sys.argv[1]), Path(sys.argv[2])
    os.read(0, 1)
    clear(root, run)
    for abandoned in root.parent.iterdir():
        with contextlib.suppress(OSError), _lock_of(abandoned):
            clear(abandoned, run.parent / abandoned.name)


def clear(root: Path, run: Path) -> None:
    """End what runs in the lab, and remove its directories.

    Raises: OSError.
    """
    from labcontainer.runtime.remove import remove_tree

    if (root / "containers").is_dir():
        _end_containers(root, run)
    _unmount_below(root)
    remove_tree(run)
    remove_tree(root)


def empty(directory: Path) -> None:
    """Take away what is mounted in `directory`, and remove what is in it. The caller must have one thread.

    Raises: OSError.
    """
    from labcontainer.runtime.remove import remove_tree

    _unmount_below(directory)
    # What is in it, not the directory itself: a notebook may stand there.
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            remove_tree(entry)
        else:
            entry.unlink()


def _end_containers(root: Path, run: Path) -> None:
    from labcontainer.engine import Engine
    from labcontainer.errors import LabError

    with Engine(root, run) as engine:
        for container in engine.containers.list(all=True):
            with contextlib.suppress(LabError):
                container.remove(force=True)


def _unmount_below(directory: Path) -> None:
    from labcontainer.errors import KernelError
    from labcontainer.kernel import mount, proc

    targets = [each.target for each in proc.mountinfo() if directory in Path(each.target).parents]
    for target in reversed(targets):
        with contextlib.suppress(KernelError):
            mount.umount2(target, mount.UmountFlag.MNT_DETACH)


@contextlib.contextmanager
def _lock_of(root: Path) -> Iterator[None]:
    """Hold the lock of an abandoned lab. Raises: OSError (BlockingIOError: it has an owner)."""
    lock = os.open(root / LOCK, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


if __name__ == "__main__":
    main()
