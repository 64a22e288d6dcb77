"""A trial: something that a container needs, done once in a child, and what came of it."""

from __future__ import annotations

import errno
import os
import pickle
import select
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar, cast

from labcontainer.errors import HostError, KernelError
from labcontainer.kernel import process
from labcontainer.kernel.probe import remedy
from labcontainer.kernel.probe.place import Place
from labcontainer.kernel.probe.report import Finding, Status
from labcontainer.kernel.process import Prctl

T = TypeVar("T")

_ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt found out, where "it works" or an error does not say enough."""

    status: Status
    why: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing to try.

    ``attempt`` runs in a child of its own and may do to it what it likes. It returns one sentence about what worked,
    or an `Outcome`; what does not work raises. ``failure`` is what that means for the lessons that need it, and
    ``mend`` says what would help.
    """

    id: str
    title: str
    lessons: tuple[str, ...]
    attempt: Callable[[Place], str | Outcome]
    failure: Status = Status.NO
    mend: Callable[[OSError, Place], str] = remedy.general


def conduct(trial: Trial, place: Place) -> Finding:
    """Make one trial and say what came of it; whatever goes wrong in it is its finding.

    See: man 2 fork
    """
    try:
        # Twice the time that a trial gives its own children, so that it can still clear away after one that hangs.
        found = start(lambda: trial.attempt(place)).answer(2 * _ANSWER_SECONDS)
        outcome = found if isinstance(found, Outcome) else Outcome(Status.YES, found)
    except HostError as error:
        outcome = Outcome(trial.failure, error.reason or f"there is no {error.feature}", error.remedy)
    except OSError as error:
        outcome = Outcome(trial.failure, _sentence(error), trial.mend(error, place))
    if outcome.status is not Status.YES and not outcome.remedy:
        outcome = Outcome(outcome.status, outcome.why, remedy.unknown(place))
    return Finding(trial.id, trial.title, outcome.status, outcome.why, outcome.remedy, tuple(sorted(trial.lessons)))


def apart(act: Callable[[], T]) -> T:
    """Do `act` in a forked child, and return or raise here what it returned or raised there.

    Raises: HostError (no answer). See: man 2 fork
    """
    return start(act).answer()


def start(act: Callable[[], T]) -> Apart[T]:
    """Begin to do `act` in a forked child, which ends with us at the latest.

    See: man 2 fork, man 2 prctl (PR_SET_PDEATHSIG)
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _answer(act, writer)
    os.close(writer)
    # Not before the child is bound to our life: had we ended first, nobody would ever end it.
    os.read(reader, 1)
    return Apart(pid, reader)


@dataclass(frozen=True, slots=True)
class Apart(Generic[T]):
    """A child that does something, and the pipe through which it will say what came of it."""

    pid: int
    reader: int

    def answer(self, seconds: float = _ANSWER_SECONDS) -> T:
        """Wait for the child, and return or raise what it did. Raises: HostError (no answer)."""
        # An answer is far smaller than a pipe's buffer, so one read has the whole of it.
        ready, _, _ = select.select([self.reader], [], [], seconds)
        answer = os.read(self.reader, 65536) if ready else b""
        os.close(self.reader)
        if not ready:
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        if not answer:
            raise HostError("an answer", reason=_silence(os.waitstatus_to_exitcode(status)))
        worked, found = pickle.loads(answer)
        if not worked:
            raise found
        return cast(T, found)


def _answer(act: Callable[[], object], writer: int) -> NoReturn:
    # Here we are a child that nobody else knows: any end but os._exit would run the parent's clean-up a second time.
    code = 1
    try:
        # A trial that is given up takes its own children along.
        process.prctl(Prctl.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.write(writer, b"!")
        try:
            answer = (True, act())
        except (OSError, HostError) as error:
            answer = (False, error)
        os.write(writer, pickle.dumps(answer))
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)


def _sentence(error: OSError) -> str:
    name = errno.errorcode.get(error.errno or 0, str(error.errno))
    call = error.call if isinstance(error, KernelError) else str(error.filename or "a system call")
    return f"{call} failed with {name} ({error.strerror})"


def _silence(code: int) -> str:
    if code == -signal.SIGSYS:
        return "the attempt was killed with SIGSYS: a seccomp filter around us forbids it"
    if code == -signal.SIGKILL:
        return "the attempt was killed, or did not end in time"
    return f"the attempt ended without an answer (exit code {code})"
