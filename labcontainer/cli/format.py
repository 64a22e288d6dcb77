"""``--format``: a list of things as docker prints it.

    --format json                          a JSON object a line
    --format 'table {{.ID}}\\t{{.Names}}'    columns with heads
    --format '{{.ID}} {{.Names}}'           a line for each, as the template says

See: https://docs.docker.com/engine/cli/formatting/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from labcontainer.cli.table import aligned
from labcontainer.cli.template import FUNCTIONS, Struct, Template

_LEAST_WIDTH = 10  # docker's, with the space between columns
# Above a column stands the name of what is in it, whatever is done to the values.
_OF_HEADS = {**FUNCTIONS, **dict.fromkeys(("json", "lower", "upper", "title", "truncate"), lambda head, *_: head)}


@dataclass(frozen=True, slots=True)
class Listing:
    """How one kind of thing is listed: docker's name for its type, the `heads` of its fields, and the table that is
    printed when nothing else is asked for."""

    type_name: str
    heads: Mapping[str, object]
    default: str

    def lines(self, rows: Iterable[Mapping[str, object]], form: str = "") -> Iterator[str]:
        """The text, a line or more at a time. Raises: TemplateError."""
        if form in ("", "table"):
            form = f"table {self.default}"
        if form == "json":
            form = "{{json .}}"
        if form.startswith("table"):
            yield self._table(rows, form.removeprefix("table").strip())
            return
        template = Template(_unescaped(form))
        for row in rows:
            yield template.render(Struct(self.type_name, row))

    def _table(self, rows: Iterable[Mapping[str, object]], form: str) -> str:
        text = _unescaped(form)
        lines = [Template(text, _OF_HEADS).render(Struct(self.type_name, self.heads))]
        template = Template(text)
        lines += [template.render(Struct(self.type_name, row)) for row in rows]
        cells = [line.split("\t") for text in lines for line in text.split("\n")]
        return aligned(cells, least_width=_LEAST_WIDTH)


def _unescaped(form: str) -> str:
    # In a shell's single quotes a tab is written \t, and it is docker that reads it, not Go's template.
    return form.strip(" ").replace("\\t", "\t").replace("\\n", "\n")


def label_head(name: str) -> str:
    """What stands above ``{{.Label "com.example.some-name"}}``: some name."""
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")
