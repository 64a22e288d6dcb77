"""The widgets without a browser: what a mouse can do, done by methods, on the real Linux kernel."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainer.errors import HostError, KernelError, NotFound, UsageError
from labcontainer.kernel import trace
from labcontainer.runtime import witness
from labcontainer.widgets import DoctorCard, IsolationMatrix, OverlayBench, TraceView, page

pytestmark = pytest.mark.usefixtures("needs_userns")


@pytest.fixture
def bench() -> Iterator[OverlayBench]:
    with OverlayBench([{"etc/motd": "hello"}]) as bench:
        yield bench


def _refused(*_: object, **__: object) -> witness.Testimony:
    raise KernelError(1, "clone3(flags=CLONE_NEWUSER)", "user namespaces are switched off here; try: sudo sysctl -w …")


def test_the_matrix_begins_with_a_child_that_shares_everything() -> None:
    assert {switch["verdict"] for switch in IsolationMatrix().stage.shown["switches"]} == {"shared"}


def test_switches_add_up_until_they_are_switched_off() -> None:
    matrix = IsolationMatrix(uts=True)
    matrix.set(pid=True)
    assert {"pid", "uts"} <= set(matrix.run().made)
    matrix.set(pid=False)
    assert "pid" not in matrix.run().made


def test_a_command_of_the_browser_runs_a_child_at_once() -> None:
    matrix = IsolationMatrix()
    matrix.stage._handle_custom_msg({"verb": "set", "namespaces": {"uts": True}}, [])
    assert matrix.testimony is not None
    assert matrix.testimony.inside.hostname == witness.HOSTNAME
    assert matrix.stage.answered == 1


def test_an_unknown_namespace_is_refused() -> None:
    with pytest.raises(UsageError, match="choose from pid"):
        IsolationMatrix().set(pids=True)


def test_what_the_machine_refuses_is_a_sentence_on_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not the Linux kernel is replaced here but the way to it: no machine of ours refuses user namespaces.
    monkeypatch.setattr(witness, "ask", _refused)
    matrix = IsolationMatrix(user=True)
    assert "sudo sysctl" in matrix.stage.shown["error"]
    assert "sudo sysctl" in matrix._repr_mimebundle_()["text/html"]
    with pytest.raises(KernelError):
        matrix.run()


def test_the_bench_writes_deletes_and_tells_what_happened(bench: OverlayBench) -> None:
    bench.write("merged/new", "x")
    assert bench.story == ("upper/new is a new file; no layer below has one of that name.",)
    bench.delete("merged/etc/motd")
    assert "whiteout" in bench.story[-1]
    bench.mkdir("merged/d")
    bench.rename("merged/new", "merged/d/new")
    bench.append("merged/d/new", "y")
    bench.chmod("merged/d/new", "600")
    assert {entry.path for entry in bench.stack.merged.entries} == {"etc", "d", "d/new"}
    assert (bench.directory / "upper" / "d" / "new").read_text() == "xy"


def test_a_refused_command_raises_and_is_shown(bench: OverlayBench) -> None:
    with pytest.raises(KernelError, match="EXDEV"):
        bench.rename("merged/etc", "merged/other")
    assert "EXDEV" in bench.stage.shown["error"]
    bench.stage._handle_custom_msg({"verb": "delete", "path": "merged/nothing"}, [])
    assert "ENOENT" in bench.stage.shown["error"]


def test_starting_over_gives_the_same_layers(bench: OverlayBench) -> None:
    bench.delete("merged/etc/motd")
    before = bench.directory
    bench.reset()
    assert not before.exists()
    assert "etc/motd" in {entry.path for entry in bench.stack.merged.entries}


def test_a_closed_bench_says_so(bench: OverlayBench) -> None:
    directory = bench.directory
    bench.close()
    bench.close()
    assert not directory.exists()
    with pytest.raises(HostError, match="closed"):
        bench.write("merged/x", "x")


def test_a_bench_in_a_place_that_cannot_be_is_shown_and_raised_on_use(bench: OverlayBench, needs_root: None) -> None:
    inside = Path(f"/proc/{bench._alive().pid}/root{bench.directory}/merged/inner")
    other = OverlayBench([{"a": "x"}], inside)
    assert "ext4, xfs, btrfs or tmpfs" in other.stage.shown["error"]
    with pytest.raises(HostError):
        other.write("merged/x", "x")


def test_a_call_opens_to_its_source() -> None:
    with trace.recording() as events:
        os.close(os.open("/", os.O_RDONLY))
        witness_calls = witness.ask({"uts"}).calls
    view = TraceView([*events, *witness_calls])
    index = next(call.index for call in view.calls if call.call == "sethostname")
    opened = view.open(index)
    assert opened.where.startswith("labcontainer/runtime/witness.py:")
    source = view.stage.source
    assert "sethostname" in source["lines"][source["line"] - source["first"]]
    assert view.stage.opened == index
    view.scale("order")
    assert view.stage.scale == "order"
    with pytest.raises(NotFound):
        view.open(999)
    with pytest.raises(UsageError):
        view.scale("size")


def test_the_doctor_card_filters_and_opens() -> None:
    finding = {"id": "userns", "title": "t", "status": "yes", "why": "w", "remedy": "", "lessons": []}
    card = DoctorCard({"host": {}, "mode": "root", "findings": [finding]})
    assert card.open("userns").why == "w"
    card.filter("problems")
    assert card.findings == ()


def test_the_text_of_a_page_without_a_kernel_is_stable_and_its_html_is_marked(bench: OverlayBench) -> None:
    for widget in (bench, IsolationMatrix(), TraceView([])):
        bundle = widget._repr_mimebundle_()
        assert bundle["text/plain"] == repr(widget)
        assert " at 0x" not in repr(widget)
        assert bundle["text/html"].startswith(page.LIVE[0])
        assert bundle["text/html"].endswith(page.LIVE[1])
