from __future__ import annotations

import pytest

from labcontainer.cli import units
from labcontainer.cli.format import Listing, label_head
from labcontainer.cli.template import TemplateError

PETS = Listing(
    "*formatter.PetContext",
    {"ID": "PET ID", "Names": "NAMES", "Tag": "TAG", "Label": label_head},
    "{{.ID}}\t{{.Tag}}\t{{.Names}}",
)
ROWS: list[dict[str, object]] = [
    {"ID": "4f5c0e8d", "Names": "rex", "Tag": "1", "Label": {"com.x.the-owner": "ada"}.get},
    {"ID": "aff5", "Names": "a-long-name", "Tag": "2", "Label": {"com.x.the-owner": "bob"}.get},
]


def printed(form: str, rows: list[dict[str, object]] = ROWS) -> str:
    return "\n".join(PETS.lines(rows, form))


def test_a_table_has_heads_and_columns_of_ten_at_least() -> None:
    assert printed("").split("\n") == [
        "PET ID     TAG       NAMES",
        "4f5c0e8d   1         rex",
        "aff5       2         a-long-name",
    ]
    assert printed("table") == printed("")
    assert printed("", []) == "PET ID    TAG       NAMES"


def test_a_table_of_ones_own_takes_tabs_as_a_shell_lets_them_be_written() -> None:
    assert printed(r'table {{upper .Names}}\t{{.Label "com.x.the-owner"}}').split("\n") == [
        "NAMES         the owner",
        "REX           ada",
        "A-LONG-NAME   bob",
    ]


def test_a_template_is_a_line_for_each_without_heads() -> None:
    assert printed(r"{{.ID}}:\t{{.Names}}") == "4f5c0e8d:\trex\naff5:\ta-long-name"
    assert printed("{{.ID}}", []) == ""


def test_json_is_an_object_a_line_without_what_must_be_asked_for() -> None:
    assert printed("json") == (
        '{"ID":"4f5c0e8d","Names":"rex","Tag":"1"}\n{"ID":"aff5","Names":"a-long-name","Tag":"2"}'
    )


@pytest.mark.parametrize("form", ["{{.Foo}}", "table {{.Foo}}"])
def test_a_field_that_is_not_there_is_told_with_the_type(form: str) -> None:
    with pytest.raises(TemplateError, match=r"can't evaluate field Foo in type \*formatter.PetContext"):
        printed(form)


@pytest.mark.parametrize(
    ("size_bytes", "four", "three"),
    [(0, "0B", "0B"), (999, "999B", "999B"), (1000, "1kB", "1kB"), (1_982_595, "1.983MB", "1.98MB"),
     (999_999, "1MB", "1MB"), (2_500_000_000, "2.5GB", "2.5GB")],
)  # fmt: skip
def test_sizes_are_dockers(size_bytes: int, four: str, three: str) -> None:
    assert (units.size(size_bytes), units.size(size_bytes, 3)) == (four, three)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "Less than a second"), (1.9, "1 second"), (59, "59 seconds"), (60, "About a minute"), (120, "2 minutes"),
     (3599, "59 minutes"), (3600, "About an hour"), (5400, "2 hours"), (47 * 3600, "47 hours"), (48 * 3600, "2 days"),
     (14 * 86400, "2 weeks"), (60 * 86400, "2 months"), (731 * 86400, "2 years")],
)  # fmt: skip
def test_times_are_dockers(seconds: float, expected: str) -> None:
    assert units.duration(seconds) == expected
