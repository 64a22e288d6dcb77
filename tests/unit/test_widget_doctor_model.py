"""The doctor's report as a card."""

from typing import Any

import pytest

from labcontainer.errors import NotFound, UsageError
from labcontainer.widgets import doctor_model as model


def finding(id: str, status: str) -> dict[str, Any]:
    return {"id": id, "title": id.title(), "status": status, "why": "it was tried", "remedy": "sudo mend",
            "lessons": ["02"]}  # fmt: skip


def report(*findings: dict[str, Any], mode: str = "root") -> dict[str, Any]:
    host = {
        "kernel": "6.18",
        "cgroup_version": "hybrid",
        "swap": None,
        "memory_bytes": 3 * 2**30,
        "controllers": ["cpu", "pids"],
        "vm": False,
    }
    return {"host": host, "mode": mode, "findings": list(findings)}


MIXED = report(finding("userns", "yes"), finding("swap", "no"), finding("psi", "degraded"))


def test_the_worst_comes_first() -> None:
    assert [each.status for each in model.view(MIXED).findings] == ["no", "degraded", "yes"]


@pytest.mark.parametrize(
    ("filter", "ids"),
    [("problems", ["swap", "psi"]), ("yes", ["userns"]), ("no", ["swap"]), ("all", ["swap", "psi", "userns"])],
)
def test_a_filter_leaves_what_was_asked_for_and_counts_everything(filter: str, ids: list[str]) -> None:
    shown = model.view(MIXED, filter=filter)
    assert [each.id for each in shown.findings] == ids
    assert shown.counts == {"no": 1, "degraded": 1, "yes": 1}


def test_an_unknown_filter_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="problems"):
        model.view(MIXED, filter="bad")


@pytest.mark.parametrize(
    ("findings", "headline"),
    [
        ([finding("a", "yes")], "Ready: all 1 features work"),
        ([finding("a", "yes"), finding("b", "degraded")], "Ready, with 1 of 2 features working in part"),
        ([finding("a", "no"), finding("b", "degraded")], "1 of 2 features is missing on this machine"),
    ],
)
def test_the_headline_is_the_verdict(findings: list[dict[str, Any]], headline: str) -> None:
    assert model.view(report(*findings)).headline == headline


def test_facts_are_words_and_what_is_unknown_is_left_out() -> None:
    assert model.view(MIXED).facts == (
        ("kernel", "6.18"), ("cgroup version", "hybrid"), ("memory", "3.0 GiB"), ("controllers", "cpu, pids"),
        ("vm", "no"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lessons", "words"),
    [
        ([], ""),
        (["02"], "lesson 02"),
        (["01", "02", "06", "07", "08", "11"], "lessons 01, 02, 06–08, 11"),
    ],
)
def test_lessons_that_follow_each_other_are_named_by_first_and_last(lessons: list[str], words: str) -> None:
    (found,) = model.view(report({**finding("a", "yes"), "lessons": lessons})).findings
    assert found.needed_by == words


@pytest.mark.parametrize(
    ("remedy", "command", "advice"),
    [
        ("sudo modprobe -a overlay", "sudo modprobe -a overlay", ""),
        ("sudo sh -c 'a (b); c, d'", "sudo sh -c 'a (b); c, d'", ""),
        ("sudo -i, and run this as root", "sudo -i", "and run this as root"),
        ("docker run IMAGE (in place of that)", "docker run IMAGE", "in place of that"),
        ("start a newer Linux kernel", "", "start a newer Linux kernel"),
        ("", "", ""),
    ],
)
def test_what_can_be_copied_into_a_shell_is_told_from_what_is_advice(remedy: str, command: str, advice: str) -> None:
    (found,) = model.view(report({**finding("a", "no"), "remedy": remedy})).findings
    assert (found.command, found.advice) == (command, advice)


def test_a_finding_is_found_by_its_id() -> None:
    assert model.find(model.view(MIXED), "psi").word == "works in part"
    with pytest.raises(NotFound, match="userns"):
        model.find(model.view(MIXED), "nothing")


def test_the_page_without_a_kernel_has_the_remedies() -> None:
    assert "sudo mend" in model.html(model.view(MIXED))
