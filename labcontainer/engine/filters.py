"""Docker's filters: ``{"label": ["stage=test"], "status": "running"}``.

Of one name several values are alternatives (of ``label`` all must fit); of several names all must fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labcontainer.errors import UsageError

Given = Mapping[str, str | bool | int | Sequence[str]] | None


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters that were checked: names, and for each at least one value."""

    values: Mapping[str, tuple[str, ...]]

    def __bool__(self) -> bool:
        return bool(self.values)

    def of(self, name: str) -> tuple[str, ...]:
        """The values of `name`; none where nobody filters by it."""
        return self.values.get(name, ())

    def exact(self, name: str, *candidates: str) -> bool:
        """Whether one of `candidates` is wanted, or `name` is no filter."""
        return name not in self.values or any(each in self.values[name] for each in candidates)

    def prefix(self, name: str, *candidates: str) -> bool:
        """Whether one of `candidates` begins as wanted, or `name` is no filter."""
        return name not in self.values or any(each.startswith(self.values[name]) for each in candidates)

    def labels(self, labels: Mapping[str, str]) -> bool:
        """Whether `labels` have every ``label`` that is wanted (``name`` or ``name=value``), and no ``label!``."""
        refused = any(_has(labels, text) for text in self.of("label!"))
        return not refused and all(_has(labels, text) for text in self.of("label"))


def parse(given: Given, known: Sequence[str]) -> Filters:
    """Check the names. Raises: UsageError."""
    values = {}
    for name, value in (given or {}).items():
        if name not in known:
            raise UsageError("filter", name, f"choose from {', '.join(known)}")
        several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        values[name] = tuple(_text(each) for each in several)
    return Filters({name: texts for name, texts in values.items() if texts})


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _has(labels: Mapping[str, str], wanted: str) -> bool:
    name, given, value = wanted.partition("=")
    return name in labels and (not given or labels[name] == value)
