"""The isolation matrix as data: two sights side by side, and what their difference teaches.

Nothing here asks the Linux kernel or a browser anything: `view` turns a `Testimony` into rows, `html` and `text` turn
those into a page.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from labcontainer.runtime.sight import Sight
from labcontainer.runtime.witness import Testimony
from labcontainer.widgets import page


@dataclass(frozen=True, slots=True)
class Switch:
    """One namespace that can be made anew, and the two inode numbers that prove whether it was (0: not run yet)."""

    name: str
    title: str
    governs: str
    on: bool
    added: bool
    host_inode: int
    inside_inode: int
    verdict: str  # "own", "shared" or "" before the first run


@dataclass(frozen=True, slots=True)
class Side:
    """What one side sees: a summary, and the single things."""

    summary: str
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One aspect of the system, from outside and from inside, and what to notice."""

    aspect: str
    host: Side
    inside: Side
    differs: bool
    remark: str


@dataclass(frozen=True, slots=True)
class View:
    """All that the widget shows."""

    switches: tuple[Switch, ...]
    fresh_proc: bool
    fresh_proc_possible: bool
    rows: tuple[Row, ...]
    headline: str
    notes: tuple[str, ...]
    calls: tuple[str, ...]
    error: str


# In the order in which lesson 02 meets them.
GOVERNS = {
    "pid": ("PID", "process numbers"),
    "mnt": ("Mount", "what is mounted where"),
    "uts": ("UTS", "the host name"),
    "net": ("Network", "interfaces, ports"),
    "user": ("User", "user and group ids, privilege"),
    "ipc": ("IPC", "queues, shared memory"),
    "cgroup": ("Cgroup", "the root of the cgroup tree"),
    "time": ("Time", "the clocks since boot"),
}


def view(wanted: Collection[str], testimony: Testimony | None, *, fresh_proc: bool = True, error: str = "") -> View:
    """What to show for the switches `wanted`, the last `testimony` (None before the first run) and the last error."""
    return View(
        switches=tuple(_switch(name, wanted, testimony) for name in GOVERNS),
        fresh_proc=fresh_proc,
        fresh_proc_possible={"pid", "mnt"} <= set(wanted),
        rows=_rows(testimony) if testimony else (),
        headline=_headline(testimony) if testimony else "",
        notes=_notes(testimony) if testimony else (),
        calls=tuple(str(event) for event in testimony.calls) if testimony else (),
        error=error,
    )


def text(wanted: Collection[str]) -> str:
    """The widget as one line that is the same on every machine."""
    names = ", ".join(name for name in GOVERNS if name in wanted)
    return f"IsolationMatrix: a child in new namespaces ({names or 'none'}) beside the host"


def html(shown: View) -> str:
    """The widget as tables."""
    rows = [(r.aspect, _plain(r.host), _plain(r.inside), "differs" if r.differs else "same") for r in shown.rows]
    inodes = [
        (s.title, "new" if s.on or s.added else "–", _number(s.host_inode), _number(s.inside_inode), s.verdict)
        for s in shown.switches
    ]
    return page.figure(
        "Isolation matrix",
        page.paragraph(shown.error),
        page.paragraph(shown.headline),
        page.table(("What is seen", "from the host", "from inside", ""), rows) if rows else "",
        page.table(("Namespace", "made", "host's inode", "child's inode", ""), inodes),
        *(page.paragraph(note) for note in shown.notes),
    )


def _switch(name: str, wanted: Collection[str], testimony: Testimony | None) -> Switch:
    title, governs = GOVERNS[name]
    host = testimony.host.namespaces.get(name, 0) if testimony else 0
    inside = testimony.inside.namespaces.get(name, 0) if testimony else 0
    verdict = ("shared" if host == inside else "own") if testimony else ""
    added = name in testimony.added if testimony else False
    return Switch(name, title, governs, name in wanted, added, host, inside, verdict)


def _headline(testimony: Testimony) -> str:
    inside, outside = testimony.inside.pid, testimony.outside_pid
    if inside == outside:
        return f"The child is process {outside}, inside and outside."
    return f"The child is process {inside} inside, and process {outside} on the host: one process, two numbers."


def _notes(testimony: Testimony) -> tuple[str, ...]:
    added = (
        "You are not root, so a user namespace was made as well: in it the child is root, and may make the others."
        if testimony.added
        else ""
    )
    clocks = (
        "A new time namespace begins with the host's clocks: only its inode number shows that it is new."
        if "time" in testimony.made
        else ""
    )
    return tuple(note for note in (added, clocks, *testimony.notes) if note)


def _rows(testimony: Testimony) -> tuple[Row, ...]:
    host, inside, made = testimony.host, testimony.inside, set(testimony.made)
    return (
        _process_row(testimony),
        _row("Mounts", _mounts(host, inside), _mounts(inside, host), _about_mounts(made)),
        _row("Host name", Side(host.hostname, ()), Side(inside.hostname, ()), _about_hostname(made)),
        _row("Interfaces", _interfaces(host), _interfaces(inside), _about_interfaces(made)),
        _row("User", _user(host), _user(inside), _about_user(testimony)),
        _row("Message queues", _queues(host), _queues(inside), _about_queues(made)),
        _row("Cgroup", Side(host.cgroup, ()), Side(inside.cgroup, ()), _about_cgroup(made)),
    )


def _process_row(testimony: Testimony) -> Row:
    inside, remark = testimony.inside, _about_processes(testimony.inside, set(testimony.made))
    # Processes come and go between two looks; what counts is whether it finds itself under the host's number.
    differs = testimony.outside_pid not in {each.pid for each in inside.processes}
    outside_pid = testimony.outside_pid
    there = _processes(testimony.host, outside_pid)
    return Row("Processes", there, _processes(inside, inside.pid if differs else outside_pid), differs, remark)


def _row(aspect: str, host: Side, inside: Side, remark: str) -> Row:
    return Row(aspect, host, inside, host != inside, remark)


def _processes(sight: Sight, child_pid: int) -> Side:
    # The child itself first: it is the one to look for in both lists.
    ordered = sorted(sight.processes, key=lambda each: each.pid != child_pid)
    items = tuple(f"{each.pid} {each.name}{' (the child)' if each.pid == child_pid else ''}" for each in ordered)
    return Side(_count(len(items), "process", "es"), items)


def _about_processes(inside: Sight, made: Collection[str]) -> str:
    if "pid" not in made:
        return "It shares the host's process numbers: it sees everybody, and may signal whom its user may."
    if len(inside.processes) > 1:
        seen = "/proc is a mount, and shows the PID namespace in which it was mounted"
        return f"It is process {inside.pid}, and sees the host's processes all the same: {seen}."
    return "A PID namespace and a /proc mounted inside it: nobody else exists."


def _mounts(sight: Sight, other: Sight) -> Side:
    elsewhere = {(mount.target, mount.filesystemtype) for mount in other.mounts}
    # What only this side has comes first; of a long list nobody reads the end.
    ordered = sorted(sight.mounts, key=lambda mount: (mount.target, mount.filesystemtype) in elsewhere)
    items = tuple(f"{mount.target} {mount.filesystemtype}" for mount in ordered)
    return Side(_count(len(sight.mounts), "mount", "s"), items)


def _about_mounts(made: Collection[str]) -> str:
    if "mnt" not in made:
        return "One list of mounts for both: whatever either mounts, the other sees."
    return "The list began as a copy. What the child mounted since (a tmpfs on /mnt) is its own."


def _about_hostname(made: Collection[str]) -> str:
    if "uts" not in made:
        return "It did not try to set the name: that would have renamed your machine."
    return "The child set its host name; the host kept its own."


def _interfaces(sight: Sight) -> Side:
    names = tuple(f"{each.name} {'up' if each.up else 'down'}" for each in sight.interfaces)
    return Side(_count(len(names), "interface", "s"), names)


def _about_interfaces(made: Collection[str]) -> str:
    if "net" not in made:
        return "The same interfaces, addresses and ports: it could listen on any of them."
    return "A new network namespace begins with a lo that is down: not even 127.0.0.1 answers."


def _user(sight: Sight) -> Side:
    return Side(f"uid {sight.ids.uid}", tuple(_mapped(*row) for row in sight.ids.uid_map))


def _mapped(inside: int, outside: int, length: int) -> str:
    if inside == outside == 0 and length >= 2**32 - 1:
        return "every id is what it is on the host"
    last = f"–{inside + length - 1}" if length > 1 else ""
    return f"id {inside}{last} in here is id {outside}{f'–{outside + length - 1}' if last else ''} out there"


def _about_user(testimony: Testimony) -> str:
    if "user" not in testimony.made:
        return "The same user, with the same rights, inside and outside."
    outside = testimony.inside.ids.uid_map[0][1] if testimony.inside.ids.uid_map else "nobody"
    return f"Root inside, and uid {outside} wherever the host decides. Every other id is shown as nobody, 65534."


def _queues(sight: Sight) -> Side:
    return Side(_count(len(sight.queues), "queue", "s"), tuple(map(str, sight.queues)))


def _about_queues(made: Collection[str]) -> str:
    if "ipc" not in made:
        return "The same queues, semaphores and shared memory: they are opened by their number."
    return "The child made a queue. None of the host's is in here, and the host has none of this one."


def _about_cgroup(made: Collection[str]) -> str:
    if "cgroup" not in made:
        return "It sees where the host keeps it in the cgroup tree."
    return "Its own cgroup looks like the root of the tree; the limits above it hold nevertheless."


def _count(number: int, noun: str, plural: str) -> str:
    return f"{number} {noun}{'' if number == 1 else plural}"


def _plain(side: Side, most: int = 6) -> str:
    shown: Sequence[str] = side.items[:most]
    more = f", … {len(side.items) - most} more" if len(side.items) > most else ""
    return f"{side.summary}: {', '.join(shown)}{more}" if shown else side.summary


def _number(inode: int) -> str:
    return str(inode) if inode else "–"
