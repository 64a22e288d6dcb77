"""A probe's report and its remedies, as data."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from labcontainer.cli.doctor import lesson_ranges, remedies
from labcontainer.errors import NotFound
from labcontainer.kernel.probe import Finding, Mode, Report, Status, remedy
from labcontainer.kernel.probe.place import Place
from labcontainer.kernel.probe.report import STARTS_CONTAINERS


def finding(id: str, status: Status, *lessons: str, mend: str = "mend it") -> Finding:
    return Finding(id, f"{id}: a title", status, "because", "" if status is Status.YES else mend, lessons)


def report(*findings: Finding, mode: Mode = Mode.ROOT) -> Report:
    return Report(host={"linux": "6.1"}, mode=mode, findings=findings)


def place(**changes: Any) -> Place:
    fields: dict[str, Any] = {"root": False, "user": "ada", "container": "", "sandbox": False, "state": Path("/")}
    return Place(**{**fields, "distribution": "Debian", "families": frozenset({"debian"}), **changes})


def test_a_report_survives_json() -> None:
    before = report(finding("psi", Status.NO, "08"), finding("pidfd", Status.YES), mode=Mode.SINGLE)
    assert Report.from_json(json.loads(json.dumps(before.to_json()))) == before


def test_a_lesson_is_blocked_by_what_is_missing_and_limited_by_what_is_degraded() -> None:
    found = report(
        finding("a", Status.NO, "08"), finding("b", Status.DEGRADED, "08", "09"), finding("c", Status.YES, "10")
    )
    assert (found.blocked(), found.limited()) == (("08",), ("09",))
    assert found.summary() == "this machine has what 15 of the course's 16 lessons need, as root (not 08; in part: 09)"


def test_without_what_every_container_needs_no_container_runs() -> None:
    assert report(finding("overlay", Status.NO, "04")).runs_containers
    assert not report(finding("clone3", Status.NO, *STARTS_CONTAINERS)).runs_containers


def test_a_finding_is_found_by_its_id() -> None:
    assert report(finding("psi", Status.YES)).finding("psi").status is Status.YES
    with pytest.raises(NotFound, match="overlay"):
        report().finding("overlay")


def test_a_remedy_is_said_once_for_all_that_it_mends() -> None:
    found = [finding("a", Status.NO), finding("b", Status.DEGRADED), finding("c", Status.YES)]
    assert list(remedies(found)) == ["to mend a, b:", "    mend it"]


def test_lessons_in_a_row_are_shown_by_the_first_and_the_last() -> None:
    assert lesson_ranges(["01", "02", "03", "07", "09", "10"]) == "01-03 07 09-10"


@pytest.mark.parametrize(
    ("families", "command"),
    [
        ({"ubuntu", "debian"}, "sudo apt install uidmap"),
        ({"fedora"}, "sudo dnf install shadow-utils"),
        ({"nixos"}, "install the package uidmap (Debian's name for it)"),
    ],
)
def test_a_package_is_installed_in_the_distributions_way(families: set[str], command: str) -> None:
    assert remedy.package(place(families=frozenset(families)), "uidmap", fedora="shadow-utils") == command


@pytest.mark.parametrize("kind", ["docker", "podman", "kubernetes"])
def test_inside_a_container_more_privilege_comes_from_outside(kind: str) -> None:
    refused = OSError(errno.EPERM, "Operation not permitted")
    assert "privileged" in remedy.general(refused, place(root=True, container=kind))


def test_every_refusal_has_a_remedy() -> None:
    for number in errno.errorcode:
        assert remedy.general(OSError(number, ""), place()), errno.errorcode[number]
