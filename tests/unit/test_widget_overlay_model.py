"""The overlay bench as data: stacks made by hand, as the Linux kernel would leave them."""

from labcontainer.runtime.bench import Stack
from labcontainer.runtime.layers import Entry, Kind, Layer
from labcontainer.widgets import overlay_model as model

ORIGIN = ("trusted.overlay.origin",)


def entry(
    path: str, kind: Kind = Kind.FILE, *, text: str = "", opaque: bool = False, xattrs: tuple[str, ...] = ()
) -> Entry:
    device = "0:0" if kind is Kind.WHITEOUT else ""
    return Entry(path, kind, 1000 + len(path), len(text), "644", device, text, opaque, xattrs)


def stack(upper: tuple[Entry, ...] = (), merged: tuple[Entry, ...] = ()) -> Stack:
    lower1 = Layer("lower1", (entry("etc", Kind.DIRECTORY), entry("etc/motd", text="base")))
    lower2 = Layer("lower2", (entry("etc", Kind.DIRECTORY), entry("etc/motd", text="app")))
    return Stack((lower1, lower2), Layer("upper", upper), Layer("merged", merged))


ETC = entry("etc", Kind.DIRECTORY)
FRESH = stack(merged=(ETC, entry("etc/motd", text="app")))


def cells(shown: model.View, path: str) -> dict[str, model.Cell]:
    row = next(row for row in shown.rows if row.path == path)
    return {column.name: cell for column, cell in zip(shown.columns, row.cells, strict=True)}


def test_the_columns_are_the_layers_from_the_bottom_and_then_the_union() -> None:
    assert [(column.name, column.role) for column in model.view(FRESH).columns] == [
        ("lower1", "lower"), ("lower2", "lower"), ("upper", "upper"), ("merged", "merged"),
    ]  # fmt: skip


def test_a_file_of_a_higher_layer_hides_the_one_below() -> None:
    found = cells(model.view(FRESH), "etc/motd")
    assert (found["lower1"].role, found["lower2"].role) == ("hidden", "seen")
    assert next(row for row in model.view(FRESH).rows if row.path == "etc/motd").origin == "lower2"


def test_directories_merge_and_are_taken_from_all_layers() -> None:
    found = cells(model.view(FRESH), "etc")
    assert found["lower1"].role == found["lower2"].role == "seen"
    assert next(row for row in model.view(FRESH).rows if row.path == "etc").origin == "lower1 + lower2"


def test_a_copy_up_is_told_by_the_mark_that_the_overlay_left() -> None:
    copied = stack((ETC, entry("etc/motd", text="app!", xattrs=ORIGIN)), (ETC, entry("etc/motd", text="app!")))
    shown = model.view(copied, FRESH, command="append merged/etc/motd")
    assert cells(shown, "etc/motd")["upper"].badge == "copied up"
    assert cells(shown, "etc/motd")["upper"].changed == "new"
    assert cells(shown, "etc/motd")["merged"].changed == "changed"
    assert cells(shown, "etc/motd")["lower2"].role == "hidden"
    assert shown.story == (
        "upper/etc was made after lower2/etc, to hold the change.",
        "upper/etc/motd was copied up: lower2/etc/motd stays as it was, the copy is what changes.",
    )


def test_a_new_file_over_a_whiteout_is_not_called_a_copy() -> None:
    deleted = stack((ETC, entry("etc/motd", Kind.WHITEOUT)), (ETC,))
    again = stack((ETC, entry("etc/motd", text="mine")), (ETC, entry("etc/motd", text="mine")))
    shown = model.view(again, deleted, command="write merged/etc/motd")
    assert cells(shown, "etc/motd")["upper"].badge == ""
    assert shown.story == ("upper/etc/motd is a new file, not a copy; it hides lower2/etc/motd.",)


def test_a_whiteout_hides_every_layer_below() -> None:
    deleted = stack((ETC, entry("etc/motd", Kind.WHITEOUT)), (ETC,))
    shown = model.view(deleted, FRESH, command="delete merged/etc/motd")
    found = cells(shown, "etc/motd")
    assert (found["lower1"].role, found["lower2"].role, found["upper"].role) == ("hidden", "hidden", "whiteout")
    assert found["merged"].changed == "gone"
    assert "a character device 0:0" in shown.story[-1]


def test_an_opaque_directory_hides_what_is_below_it_and_itself() -> None:
    opaque = entry("etc", Kind.DIRECTORY, opaque=True)
    shown = model.view(stack((opaque,), (ETC,)), stack((entry("etc", Kind.WHITEOUT),)), command="mkdir merged/etc")
    assert cells(shown, "etc")["upper"].role == "opaque"
    assert cells(shown, "etc")["lower2"].role == "hidden"
    assert cells(shown, "etc/motd")["lower1"].role == "hidden"
    assert shown.story == ("upper/etc is an opaque directory now: nothing of lower2/etc shows through it.",)


def test_deleting_what_only_upper_had_leaves_no_whiteout() -> None:
    new = entry("new", text="x")
    shown = model.view(FRESH, stack((new,), (ETC, entry("etc/motd", text="app"), new)), command="delete merged/new")
    assert shown.story == ("upper/new is gone, and nothing lies below it.",)
    assert cells(shown, "new")["merged"].changed == "gone"


def test_a_directory_comes_before_what_is_in_it() -> None:
    odd = stack(merged=(entry("a", Kind.DIRECTORY), entry("a/x"), entry("a-b")))
    assert [row.path for row in model.view(odd).rows][:3] == ["a", "a/x", "a-b"]


def test_a_refused_command_tells_no_story() -> None:
    shown = model.view(FRESH, FRESH, command="rename merged/etc → merged/x", error="The Linux kernel answered EXDEV.")
    assert shown.story == ()
    assert "EXDEV" in model.html(shown)


def test_without_an_overlay_only_the_error_is_shown() -> None:
    shown = model.view(None, error="This machine cannot provide an overlay.")
    assert shown.rows == ()
    assert "cannot provide an overlay" in model.html(shown)


def test_the_page_without_a_kernel_names_each_cell() -> None:
    deleted = stack((ETC, entry("etc/motd", Kind.WHITEOUT)), (ETC,))
    assert "whiteout 0:0, inode 1008" in model.html(model.view(deleted))


def test_the_text_says_the_same_on_every_machine() -> None:
    assert model.text(2) == "OverlayBench: lower1, lower2, upper and their union, merged"
