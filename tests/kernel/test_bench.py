"""A real overlay in a child: what each command leaves in the upperdir. Runs as root and as an ordinary user alike."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainer.errors import HostError, KernelError, UsageError
from labcontainer.kernel import proc
from labcontainer.runtime.bench import Bench
from labcontainer.runtime.layers import Entry, Kind, Layer

LAYERS = [{"etc/motd": "base", "etc/hosts": "127.0.0.1", "usr/share/doc": "d"}, {"app/main": "run", "etc/motd": "app"}]

pytestmark = pytest.mark.usefixtures("needs_userns")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "bench", LAYERS) as bench:
        yield bench


def _entry(layer: Layer, path: str) -> Entry | None:
    return next((entry for entry in layer.entries if entry.path == path), None)


def _paths(layer: Layer) -> list[str]:
    return [entry.path for entry in layer.entries]


def test_the_union_shows_the_topmost_of_each_name(bench: Bench) -> None:
    stack = bench.look()
    motd = _entry(stack.merged, "etc/motd")
    assert motd is not None
    assert motd.text == "app"
    assert _paths(stack.upper) == []
    assert [layer.name for layer in stack.lowers] == ["lower1", "lower2"]


def test_the_mount_is_seen_by_the_child_alone(bench: Bench) -> None:
    merged = str(bench.directory / "merged")
    assert merged in {mount.target for mount in proc.mountinfo(bench.pid)}
    assert merged not in {mount.target for mount in proc.mountinfo()}
    assert os.listdir(merged) == []


def test_a_change_to_a_lower_file_copies_it_up(bench: Bench) -> None:
    bench.act("append", "merged/etc/hosts", " more")
    stack = bench.look()
    copy, original = _entry(stack.upper, "etc/hosts"), _entry(stack.lowers[0], "etc/hosts")
    assert copy is not None
    assert original is not None
    assert copy.text == "127.0.0.1 more"
    assert any(name.endswith(".overlay.origin") for name in copy.xattrs)
    assert original.text == "127.0.0.1"


def test_a_change_of_mode_alone_copies_the_whole_file_up(bench: Bench) -> None:
    bench.act("chmod", "merged/etc/hosts", "600")
    copy = _entry(bench.look().upper, "etc/hosts")
    assert copy is not None
    assert (copy.mode, copy.text) == ("600", "127.0.0.1")


def test_deleting_a_lower_file_leaves_a_whiteout(bench: Bench) -> None:
    bench.act("delete", "merged/etc/motd")
    stack = bench.look()
    whiteout = _entry(stack.upper, "etc/motd")
    assert whiteout is not None
    assert (whiteout.kind, whiteout.device) == (Kind.WHITEOUT, "0:0")
    assert _entry(stack.merged, "etc/motd") is None


def test_deleting_an_upper_file_leaves_nothing(bench: Bench) -> None:
    bench.act("write", "merged/new", "x")
    bench.act("delete", "merged/new")
    assert _paths(bench.look().upper) == []


def test_a_directory_made_again_is_opaque(bench: Bench) -> None:
    bench.act("delete", "merged/usr")
    bench.act("mkdir", "merged/usr")
    stack = bench.look()
    usr = _entry(stack.upper, "usr")
    assert usr is not None
    assert usr.opaque
    assert _entry(stack.merged, "usr/share") is None


def test_renaming_a_lower_file_copies_it_up_and_leaves_a_whiteout(bench: Bench) -> None:
    bench.act("rename", "merged/app/main", "merged/app/start")
    upper = bench.look().upper
    old, new = _entry(upper, "app/main"), _entry(upper, "app/start")
    assert old is not None
    assert new is not None
    assert (old.kind, new.kind, new.text) == (Kind.WHITEOUT, Kind.FILE, "run")


def test_renaming_a_lower_directory_is_refused_as_the_kernel_does(bench: Bench) -> None:
    with pytest.raises(KernelError, match="mv copies it") as caught:
        bench.act("rename", "merged/app", "merged/program")
    assert caught.value.errno == 18  # EXDEV
    assert _paths(bench.look().upper) == []


@pytest.mark.parametrize("path", ["lower1/etc/motd", "upper/x", "merged", "merged/../upper/x", "/etc/passwd", ""])
def test_only_what_is_below_merged_can_be_changed(bench: Bench, path: str) -> None:
    with pytest.raises(UsageError):
        bench.act("write", path, "x")


def test_a_link_in_a_layer_does_not_lead_out_of_the_bench(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("safe")
    with Bench(tmp_path / "bench", [{"a": "x"}]) as bench:
        # From inside the union, as a hostile layer would have it.
        os.symlink(outside, f"/proc/{bench.pid}/root{bench.directory}/merged/link")
        with pytest.raises(KernelError):
            bench.act("write", "merged/link", "broken")
    assert outside.read_text() == "safe"


def test_what_was_refused_leaves_the_bench_usable(bench: Bench) -> None:
    with pytest.raises(KernelError, match="mkdir first"):
        bench.act("write", "merged/no/such/file", "x")
    bench.act("write", "merged/ok", "x")
    assert _entry(bench.look().merged, "ok")


def test_closing_leaves_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, LAYERS)
    bench.act("write", "merged/x", "x")
    bench.close()
    bench.close()
    assert list(tmp_path.iterdir()) == []
    assert proc.start_time(bench.pid) is None


def test_a_killed_child_is_noticed_and_leaves_no_mount(tmp_path: Path) -> None:
    with contextlib.closing(Bench(tmp_path, LAYERS)) as bench:
        os.kill(bench.pid, signal.SIGKILL)
        with pytest.raises(HostError, match="child process has ended"):
            bench.look()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_holds_a_bench_is_left_alone(bench: Bench) -> None:
    with pytest.raises(UsageError, match="holds a bench already"):
        Bench(bench.directory, LAYERS)
    assert _entry(bench.look().merged, "etc/motd")


def test_a_file_system_that_cannot_hold_an_upperdir_is_named_with_the_mend(tmp_path: Path, needs_root: None) -> None:
    # An overlay in an overlay: upperdir may not be there. An ordinary user may not even look there through /proc.
    with (
        Bench(tmp_path / "outer", [{"a": "x"}]) as outer,
        pytest.raises(HostError, match="ext4, xfs, btrfs or tmpfs"),
    ):
        Bench(Path(f"/proc/{outer.pid}/root{outer.directory}/merged/inner"), [{"a": "x"}])


def test_no_layers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least one layer"):
        Bench(tmp_path, [])
