"""PID 1 for ``--init``: it has one child, passes signals on to it, and waits for every orphan.

    PID 1 (this file) ── the command        a process whose parent has ended becomes PID 1's child: somebody has to
          └── orphans                       wait for it, or it stays a zombie (lesson 02)

No program is added to the image: init simply stays Python instead of becoming the command, with the command's own
user, capabilities and seccomp filter.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from typing import NoReturn

from labcontainer.errors import InitError
from labcontainer.kernel import process, trace
from labcontainer.kernel.process import Dumpable, Prctl
from labcontainer.kernel.trace import Role
from labcontainer.runtime import channel, command

# Sent by the Linux kernel to the process whose fault it is: these are not for the child.
_OURS = {signal.SIGCHLD, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT}


def run(
    path: str, arguments: list[str], variables: dict[str, str], connection: socket.socket, *, hidden: bool
) -> NoReturn:
    """Start the command and see it through; ends as it ends, with 128 + n after signal n.

    See: man 7 pid_namespaces (init's duties)
    """
    if not hidden:
        # In a user namespace nobody outside could join a PID 1 that is not dumpable: there would be no exec.
        with contextlib.suppress(OSError):  # a filter of the bundle's own may refuse it
            process.prctl(Prctl.PR_SET_DUMPABLE, Dumpable.SUID_DUMP_USER)
    every = signal.valid_signals()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, every)
    child = process.fork()
    if child == 0:
        # We are the command to be: same privileges, a process group of our own that the terminal's keys reach.
        trace.become(Role.CHILD)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _lead_the_terminal()
        try:
            command.execute(path, arguments, variables)
        except InitError as error:
            channel.send(connection, "failed", stage=error.stage, cause=error.cause, exit_code=error.exit_code)
            os._exit(error.exit_code)
    connection.close()
    with contextlib.suppress(OSError):
        process.prctl(Prctl.PR_SET_NAME, b"lab-init")
    trace.stop()  # what is closed now is the trace, too
    process.close_range(3)
    while True:
        received = signal.sigwaitinfo(every)
        if received.si_signo != signal.SIGCHLD:
            if received.si_signo not in _OURS:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, received.si_signo)
            continue
        _reap(child)


def _reap(child: int) -> None:
    """Wait for all that have ended; if the command is among them we end as it did."""
    while True:
        try:
            result = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return
        if result is None:
            return
        if result.si_pid == child:
            os._exit(process.exit_code(result))


def _lead_the_terminal() -> None:
    process.setpgid(0, 0)
    if os.isatty(0):
        # A background group that asks for the terminal would be stopped by SIGTTOU.
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        with contextlib.suppress(OSError):
            os.tcsetpgrp(0, os.getpgrp())
        signal.signal(signal.SIGTTOU, before)
