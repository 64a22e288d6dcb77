"""A failure that a lesson wants: it is shown, and its absence is the error.

>>> with expect(KernelError, errno=errno.EPERM):
...     namespaces.sethostname("mine-now")
as expected, KernelError: sethostname(name="mine-now", len=8): EPERM (Operation not permitted): …
"""

from __future__ import annotations

import errno as errno_names
import textwrap
from types import TracebackType


class expect:  # noqa: N801  it is read as a word of the lesson's own language, as pytest.raises is
    """A block that must raise `kind`, with `errno` where one is given. ``error`` holds what was raised.

    It is shown, unless `quiet`: then the lesson says itself what is to be seen in it.
    """

    def __init__(self, kind: type[BaseException], *, errno: int | None = None, quiet: bool = False) -> None:
        self.kind = kind
        self.errno = errno
        self.quiet = quiet
        self.error: BaseException | None = None

    def __enter__(self) -> expect:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if error is None:
            raise AssertionError(f"nothing failed here, but {self._wanted()} was expected")
        if not isinstance(error, self.kind):
            return False
        if self.errno is not None and getattr(error, "errno", None) != self.errno:
            error.add_note(f"this failure was not the expected one: {self._wanted()}")
            return False
        self.error = error
        if self.quiet:
            return True
        # JupyterLab would break a long line in the middle of a word.
        told = textwrap.wrap(f"as expected, {type(error).__name__}: {error}", 100, break_long_words=False)
        print("\n    ".join(told))  # noqa: T201  a lesson's output
        return True

    def _wanted(self) -> str:
        name = self.kind.__name__
        return name if self.errno is None else f"{name} with {errno_names.errorcode.get(self.errno, self.errno)}"
