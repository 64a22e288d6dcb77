"""One thing that is wrong, and what mends it; and where things go that must not be lost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """`problem` is what is wrong with `subject`, `remedy` what to do about it.

    `mend` does it; None where that is a person's decision. `by_opening`: opening an engine mends it.
    `harmless`: nothing goes wrong if it stays.
    """

    subject: str
    problem: str
    remedy: str
    mend: Callable[[], object] | None = None
    by_opening: bool = False
    harmless: bool = False
    mended: bool = False
    reason: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same finding in a second look."""
        return self.subject, self.problem

    @property
    def mendable(self) -> bool:
        """Whether ``--repair`` tries to mend it."""
        return self.by_opening or self.mend is not None

    def after(self, *, mended: bool, reason: str) -> Finding:
        """The same once it was tried: `reason` is why it is not mended."""
        return replace(self, mended=mended, reason="" if mended else reason)

    def to_json(self) -> dict[str, Any]:
        """It for programs."""
        return {
            "subject": self.subject,
            "problem": self.problem,
            "remedy": self.remedy,
            "harmless": self.harmless,
            "mendable": self.mendable,
            "mended": self.mended,
            **({"reason": self.reason} if self.reason else {}),
        }


def quarantine(root: Path, path: Path) -> Path:
    """Put `path`, which is below `root`, away where nothing looks for it, under the same name; returns that place.

    Raises: OSError.
    """
    day = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    place = root / "quarantine" / day / path.relative_to(root)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    free = place
    for number in range(1, 1000):
        if not os.path.lexists(free):
            break
        free = place.with_name(f"{place.name}.{number}")
    os.rename(path, free)
    return free
