"""The overlay bench as data: every path a row, every layer a column, and what the last command changed.

Nothing here touches a file: `view` compares stacks that `runtime.bench` has read from the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labcontainer.runtime.bench import Stack
from labcontainer.runtime.layers import Entry, Kind, Layer
from labcontainer.widgets import page


@dataclass(frozen=True, slots=True)
class Cell:
    """One path in one layer. ``role`` says what it does for the union, ``changed`` what the last command did to it."""

    kind: str  # a Kind, or "" where the layer has nothing of that name
    role: str  # "seen", "hidden", "whiteout", "opaque", or "" with an empty kind
    badge: str  # the role in words, where words help
    inode: int
    size_bytes: int
    mode: str
    device: str
    text: str
    xattrs: tuple[str, ...]
    changed: str  # "new", "changed", "gone" or ""


@dataclass(frozen=True, slots=True)
class Row:
    """One path, through all columns. ``origin`` names the layers that merged takes it from."""

    path: str
    name: str
    depth: int
    is_directory: bool
    cells: tuple[Cell, ...]
    origin: str


@dataclass(frozen=True, slots=True)
class Column:
    """A directory of the overlay and what it is for."""

    name: str
    role: str  # "lower", "upper", "merged"
    caption: str


@dataclass(frozen=True, slots=True)
class View:
    """All that the widget shows. ``story`` says what the Linux kernel did on the last command, step by step."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    command: str
    story: tuple[str, ...]
    error: str
    mount: str


_NOTHING = Cell("", "", "", 0, 0, "", "", "", (), "")


def view(
    stack: Stack | None, previous: Stack | None = None, *, command: str = "", error: str = "", mount: str = ""
) -> View:
    """The bench as it is in `stack`, with what changed since `previous`; without a stack only the error."""
    if stack is None:
        return View((), (), command, (), error, mount)
    before = previous or stack
    columns = _columns(stack)
    paths = {entry.path for each in (stack, before) for layer in _layers(each) for entry in layer.entries}
    rows = tuple(_row(path, stack, before) for path in sorted(paths, key=lambda path: path.split("/")))
    return View(columns, rows, command, _story(stack, before) if command and not error else (), error, mount)


def text(number_of_layers: int) -> str:
    """The widget as one line that is the same on every machine."""
    lowers = ", ".join(f"lower{number}" for number in range(1, number_of_layers + 1))
    return f"OverlayBench: {lowers}, upper and their union, merged"


def html(shown: View) -> str:
    """The widget as a table: the layers from the bottom one to merged."""
    rows = [(row.path, *(_plain(cell) for cell in row.cells)) for row in shown.rows]
    return page.figure(
        "Overlay bench",
        page.paragraph(shown.error),
        page.paragraph(shown.command),
        *(page.paragraph(sentence) for sentence in shown.story),
        page.table(("path", *(column.name for column in shown.columns)), rows) if rows else "",
    )


def _layers(stack: Stack) -> tuple[Layer, ...]:
    return (*stack.lowers, stack.upper, stack.merged)


def _columns(stack: Stack) -> tuple[Column, ...]:
    last = len(stack.lowers) - 1
    places = ["bottom layer" if i == 0 and last else "top layer" if i == last else "layer" for i in range(last + 1)]
    return (
        *(
            Column(layer.name, "lower", f"{place}, read-only")
            for layer, place in zip(stack.lowers, places, strict=True)
        ),
        Column(stack.upper.name, "upper", "every change lands here"),
        Column(stack.merged.name, "merged", "what a container sees"),
    )


def _row(path: str, stack: Stack, before: Stack) -> Row:
    found = [_find(layer, path) for layer in _layers(stack)]
    past = [_find(layer, path) for layer in _layers(before)]
    covered = [_covered(stack, index, path) for index in range(len(found) - 1)]
    cells = tuple(
        _cell(now, then, hidden=bool(hidden), is_upper=index == len(found) - 2)
        for index, (now, then, hidden) in enumerate(zip(found, past, [*covered, False], strict=True))
    )
    parts = path.split("/")
    is_directory = any(entry is not None and entry.kind is Kind.DIRECTORY for entry in (*found, *past))
    return Row(path, parts[-1], len(parts) - 1, is_directory, cells, _origin(stack, cells))


def _origin(stack: Stack, cells: Sequence[Cell]) -> str:
    if not cells[-1].kind or cells[-1].changed == "gone":
        return ""
    names = [layer.name for layer in (*stack.lowers, stack.upper)]
    return " + ".join(name for name, cell in zip(names, cells, strict=False) if cell.role in ("seen", "opaque"))


def _cell(now: Entry | None, then: Entry | None, *, hidden: bool, is_upper: bool) -> Cell:
    entry = now or then
    if entry is None:
        return _NOTHING
    role, badge = _role(entry, hidden=hidden, is_upper=is_upper)
    return Cell(
        kind=entry.kind,
        role=role,
        badge=badge,
        inode=entry.inode,
        size_bytes=entry.size_bytes,
        mode=entry.mode,
        device=entry.device,
        text=entry.text,
        xattrs=entry.xattrs,
        changed=_changed(now, then),
    )


def _role(entry: Entry, *, hidden: bool, is_upper: bool) -> tuple[str, str]:
    if entry.kind is Kind.WHITEOUT:
        return "whiteout", "whiteout"
    if hidden:
        return "hidden", "hidden"
    if entry.opaque:
        return "opaque", "opaque"
    return "seen", "copied up" if is_upper and _copied_up(entry) else ""


def _copied_up(entry: Entry) -> bool:
    # The overlay notes in an extended attribute which lower file a copy was made from.
    return any(name.endswith(".overlay.origin") for name in entry.xattrs)


def _changed(now: Entry | None, then: Entry | None) -> str:
    if now is None or then is None:
        return "gone" if now is None else "new"
    return "" if now == then else "changed"


def _covered(stack: Stack, index: int, path: str) -> str:
    """The layer above number `index` that keeps its `path` out of merged, if any."""
    own = [*stack.lowers, stack.upper]
    entry = _find(own[index], path)
    for layer in own[index + 1 :]:
        above = _find(layer, path)
        if above and not (entry and entry.kind is above.kind is Kind.DIRECTORY and not above.opaque):
            return layer.name
        if any(_blocks(_find(layer, parent)) for parent in _parents(path)):
            return layer.name
    return ""


def _blocks(parent: Entry | None) -> bool:
    return parent is not None and (parent.opaque or parent.kind is not Kind.DIRECTORY)


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]


def _find(layer: Layer, path: str) -> Entry | None:
    return next((entry for entry in layer.entries if entry.path == path), None)


def _story(stack: Stack, before: Stack) -> tuple[str, ...]:
    told = []
    paths = {entry.path for entry in (*stack.upper.entries, *before.upper.entries)}
    for path in sorted(paths, key=lambda path: path.split("/")):
        now, then = _find(stack.upper, path), _find(before.upper, path)
        if now != then and (sentence := _sentence(path, now, then, stack)):
            told.append(sentence)
    return tuple(told) or ("Nothing changed in upper.",)


def _sentence(path: str, now: Entry | None, then: Entry | None, stack: Stack) -> str:
    below = next((layer.name for layer in reversed(stack.lowers) if _find(layer, path)), "")
    if now is None:
        return f"upper/{path} is gone" + (
            f"; {below} shows through again." if below else ", and nothing lies below it."
        )
    if now.kind is Kind.WHITEOUT:
        hides = f"It hides {below}/{path}, which is untouched." if below else "Nothing lies below it."
        return f"upper/{path} is a whiteout now: a character device {now.device}. {hides}"
    if now.opaque and not (then and then.opaque):
        return f"upper/{path} is an opaque directory now: nothing of {below or 'the layers'}/{path} shows through it."
    if then is None or then.kind is not now.kind:
        return _arrival(path, now, below)
    # A directory changes whenever a name in it comes or goes; those names tell the story.
    return "" if now.kind is Kind.DIRECTORY else f"upper/{path} changed in place: it had been in upper already."


def _arrival(path: str, now: Entry, below: str) -> str:
    if now.kind is Kind.DIRECTORY:
        return f"upper/{path} was made" + (f" after {below}/{path}, to hold the change." if below else ".")
    if _copied_up(now) and below:
        return f"upper/{path} was copied up: {below}/{path} stays as it was, the copy is what changes."
    if _copied_up(now):
        return f"upper/{path} was copied up from a lower layer, under its new name."
    if below:
        return f"upper/{path} is a new file, not a copy; it hides {below}/{path}."
    return f"upper/{path} is a new file; no layer below has one of that name."


def _plain(cell: Cell) -> str:
    if not cell.kind or cell.changed == "gone":
        return ""
    what = f"{cell.kind} {cell.device}".strip() if cell.kind != Kind.FILE else f"{cell.size_bytes} B"
    badge = f" ({cell.badge})" if cell.badge and cell.badge != cell.kind else ""
    return f"{what}{badge}, inode {cell.inode}"
