from __future__ import annotations

import errno
from pathlib import Path

import pytest

from labcontainer import expect
from labcontainer.errors import HostError, InitError, KernelError, UsageError
from labcontainer.kernel import namespaces
from labcontainer.lessons import bench, exercise, source
from labcontainer.lessons.exercise import Bench, Exercise, NotYet
from labcontainer.lessons.prediction import Prediction, prose
from labcontainer.lessons.student import Student, current

QUESTION = Prediction(
    "Is `1 < 2`?", {"a": "no", "b": "yes"}, right="b", because="Count.", wrong={"a": "That would be `2 < 1`."}
)
NAMES = ("fern", "moss", "reed", "sage")


def test_a_student_gets_the_same_parameter_each_time_and_students_differ() -> None:
    picks = {name: Student(name).pick("02", "visitor.hostname", NAMES) for name in map(str, range(40))}
    assert all(Student(name).pick("02", "visitor.hostname", NAMES) == pick for name, pick in picks.items())
    assert set(picks.values()) == set(NAMES)


def test_the_student_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_STUDENT", "ada")
    assert current() == Student("ada")
    monkeypatch.delenv("LAB_STUDENT")
    assert "@" in current().name


def test_a_prediction_shows_its_options_and_keeps_its_answer_folded_away() -> None:
    assert repr(QUESTION) == "Predict: Is `1 < 2`?\n  a  no\n  b  yes"
    html = QUESTION._html()
    assert "<code>1 &lt; 2</code>" in html
    assert "Count." not in html.partition("<details>")[0]


def test_prose_has_code_and_emphasis_and_no_html_of_its_own() -> None:
    assert prose("*Its* `a * b * c` <b>") == "<em>Its</em> <code>a * b * c</code> &lt;b&gt;"


def test_a_wrong_answer_is_told_what_misleads_and_what_is_right() -> None:
    told = QUESTION.answer("a")
    assert not told.right
    assert repr(told).splitlines() == ["✘ a: no", "That would be `2 < 1`.", "The answer is b: yes", "Count."]
    assert QUESTION.answer("b").right


def test_an_answer_that_is_no_option_is_refused() -> None:
    with pytest.raises(UsageError, match="choose from a, b"):
        QUESTION.answer("c")


def test_the_choice_is_locked_and_explained_once_it_is_made() -> None:
    from labcontainer.lessons.choice import choice

    widget = choice(QUESTION)
    _, options, explanation = widget.children
    assert "Count." not in explanation.value
    options.value = "a"
    assert options.disabled
    assert "Count." in explanation.value
    for each in (*widget.children, widget):
        each.close()


def _judge(bench: Bench) -> str:
    if bench.subject != bench["word"]:
        raise NotYet(f"say `{bench['word']}`.")
    return "said."


SPEAK = Exercise(task="Say {word}.", hints=("1", "2", "3"), judge=_judge, parameters={"word": ("hello",)})


def test_a_verdict_names_the_misconception_and_where_help_is() -> None:
    lab = object.__new__(bench.Lab)  # judges of pure things need no bench
    missing = exercise.judged("speak", SPEAK, Bench(lab, "no", {"word": "hello"}))
    assert not missing
    assert repr(missing) == '✘ speak: not yet: say `hello`. (Stuck? `lab.hint("speak")` helps, in three steps.)'
    assert exercise.judged("speak", SPEAK, Bench(lab, "hello", {"word": "hello"})).passed


def test_a_judge_that_cannot_look_says_so_instead_of_raising() -> None:
    def judge(bench: Bench) -> str:
        return Path("/proc/0/status").read_text()

    lab = object.__new__(bench.Lab)
    verdict = exercise.judged("look", Exercise("", ("", "", ""), judge), Bench(lab, None, {}))
    assert "looking at it failed" in verdict.text


def test_what_a_machine_lacks_is_told_in_a_sentence_and_the_lesson_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    lab = object.__new__(bench.Lab)
    with lab.where_possible():
        raise HostError("user namespaces", remedy="sudo sysctl -w user.max_user_namespaces=15000")
    with lab.where_possible():
        raise InitError("create", "clone3(): EPERM")
    first, second = capsys.readouterr().out.splitlines()
    with lab.where_possible():
        raise KernelError(errno.EPERM, "unshare(flags=CLONE_NEWNS)")
    assert "EPERM" in capsys.readouterr().out
    assert first.endswith("to mend it: sudo sysctl -w user.max_user_namespaces=15000")
    assert first.startswith("This cell cannot run on your machine, and the lesson goes on without it: ")
    assert "clone3(): EPERM" in second


def test_a_fault_that_is_not_the_machines_is_not_hidden() -> None:
    lab = object.__new__(bench.Lab)
    with pytest.raises(InitError), lab.where_possible():
        raise InitError("exec", "no such program", 127)
    with pytest.raises(UsageError), lab.where_possible():
        raise UsageError("name", "", "it is empty")
    with pytest.raises(KernelError), lab.where_possible():
        raise KernelError(errno.EINVAL, "unshare()")


def test_what_an_earlier_cell_has_not_made_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = object.__new__(bench.Lab)
    lab.root = tmp_path
    with lab.where_possible():
        (lab.directory / "upper" / "motd").lstat()
    assert capsys.readouterr().out.startswith("This cell needs upper/motd, which an earlier cell makes")
    with pytest.raises(FileNotFoundError), lab.where_possible():
        Path("/nonexistent/file").read_text()


def test_a_variable_that_a_refused_cell_has_not_made_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    lab = object.__new__(bench.Lab)
    with pytest.raises(NameError), lab.where_possible():
        raise NameError("a slip of the lesson's own", name="boxx")
    with lab.where_possible():
        raise HostError("resource limits for an ordinary user")
    with lab.where_possible():
        raise NameError("name 'box' is not defined", name="box")
    assert capsys.readouterr().out.splitlines()[-1].startswith("This cell needs box, which an earlier cell makes")


@pytest.mark.parametrize("lesson", sorted(Path(bench.__file__).parent.glob("lesson_*.py")), ids=lambda path: path.stem)
def test_what_a_lesson_asks_can_be_put_and_filled_in(lesson: Path) -> None:
    content = bench.content(lesson.stem.removeprefix("lesson_"))
    for name, question in content.get("PREDICTIONS", {}).items():
        assert question.right in question.options, name
        assert set(question.wrong) <= set(question.options) - {question.right}, name
    for name, each in content.get("EXERCISES", {}).items():
        assert len(each.hints) == 3, name
        for text in (each.task, *each.hints):
            assert text.format_map({key: choices[0] for key, choices in each.parameters.items()}), name


def test_source_is_shown_from_the_file_with_its_line() -> None:
    shown = source.source_of(namespaces.unshare)
    assert repr(shown).startswith(f"labcontainer/kernel/namespaces.py:{shown.line}\ndef unshare(")
    line = Path(namespaces.__file__).read_text().splitlines()[shown.line - 1]
    assert line.startswith("def unshare(")
    assert "var(--jp-mirror-editor-keyword-color" in shown._repr_html_()


def test_the_source_of_a_method_is_shown_as_it_would_stand_alone() -> None:
    assert source.source_of(Student.pick).text.startswith("def pick(")


def test_an_expected_failure_is_shown_and_its_absence_is_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    with expect(KernelError, errno=errno.EPERM) as expected:
        raise KernelError(errno.EPERM, "sethostname()", "not yours")
    assert isinstance(expected.error, KernelError)
    shown = capsys.readouterr().out
    assert shown == "as expected, KernelError: sethostname(): EPERM (Operation not permitted): not yours\n"
    with expect(OSError):
        raise OSError("many words, " * 12)
    assert all(len(line) < 110 for line in capsys.readouterr().out.splitlines())
    with pytest.raises(AssertionError, match="KernelError with EPERM was expected"), expect(KernelError, errno=1):
        pass


def test_another_failure_than_the_expected_one_is_not_swallowed() -> None:
    with pytest.raises(KernelError) as caught, expect(KernelError, errno=errno.EPERM):
        raise KernelError(errno.EINVAL, "unshare()")
    assert "not the expected one" in caught.value.__notes__[0]
    with pytest.raises(ValueError, match="other"), expect(KernelError):
        raise ValueError("other")
