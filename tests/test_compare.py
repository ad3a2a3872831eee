"""Grades beside one another: what made them is named before what moved, and a line fits a terminal."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mockint.events import Planned
from mockint.grades import AnswerGrade, Grade, Scored, Stamp, Unscored, Verdict
from mockint.report import Sat, beside, beside_text, comparison, over_time, over_time_text
from mockint.transcript import fold
from tests.builders import AT, judged_well, planned, session, started
from tests.conftest import ROOT, ChatServer, Run

CANDIDATE = ROOT / "examples" / "candidate.yaml"
LONG = "a-criterion-with-a-name-that-goes-on-and-on-and-on"


def stamp(**changes: Any) -> Stamp:
    values: dict[str, Any] = {
        "transcript": "sha256:" + "1" * 64,
        "rubric": "sha256:" + "2" * 64,
        "prompt": "sha256:" + "3" * 64,
        "grader": "judge",
        "model": "lab/x",
        "app": "0",
        "at": AT,
    }
    return Stamp(**(values | changes))


def grade(score: float | None, made_by: Stamp, *answers: AnswerGrade) -> Grade:
    return Grade(id="s", stamp=made_by, target_level="mid", signal="hire", score=score, coverage=1, answers=answers)


def answered(question: str, score: float, **levels: str) -> AnswerGrade:
    points = {"missed": 0.0, "partial": 0.5, "met": 1.0}
    verdicts: tuple[Verdict, ...] = tuple(
        Scored(criterion=name.replace("_", "-"), level=level, points=points[level], evidence=(), reason="So.")
        for name, level in levels.items()
    )
    return AnswerGrade(question=question, state="graded", score=score, coverage=1, verdicts=verdicts)


def sat(day: int, score: float, made_by: Stamp, *answers: AnswerGrade) -> Sat:
    plan = tuple(planned(answer.question) for answer in answers)
    first = started(*plan, session=f"2026112{day}-1812-mixed-test", at=AT + timedelta(days=day))
    return Sat(fold([first]), grade(score, made_by, *answers), 1)


def narrow(text: str) -> bool:
    return max(map(len, text.splitlines())) <= 80


def test_two_grades_fit_a_terminal_with_the_stamps_first() -> None:
    other = stamp(transcript="sha256:" + "4" * 64, model="a-provider/" + "m" * 90)
    told = comparison(
        grade(0.5, stamp(), answered("kettle", 0.5, **{LONG.replace("-", "_"): "missed"})),
        grade(0.9, other, answered("kettle", 0.9, **{LONG.replace("-", "_"): "met"})),
        names=("1", "2"),
    )
    assert narrow(told)
    assert "transcript: sha256:111111111111… → sha256:444444444444…" in told
    assert told.index("transcript:") < told.index("model:") < told.index("score") < told.index(LONG)
    assert "+1.00" in told


def test_one_question_over_time_is_in_order_with_each_stamp_beside_the_one_before() -> None:
    first = sat(1, 0.5, stamp(), answered("kettle", 0.5, boiling="missed", pouring="met"))
    second = sat(2, 0.9, stamp(model="lab/y"), answered("kettle", 0.9, boiling="met"))
    data = over_time("kettle", [second, first])
    assert [row["score"] for row in data["grades"]] == [0.5, 0.9]
    assert [row["began"][:10] for row in data["grades"]] == ["2026-11-25", "2026-11-26"]
    assert [row["stamps"] for row in data["grades"]] == [{}, {"model": ("lab/x", "lab/y")}]
    told = over_time_text(data)
    assert told.index("model: lab/x → lab/y") < told.index("score")
    rows = [line.split() for line in told.splitlines()]
    assert ["score", "0.50", "0.90"] in rows
    assert ["boiling", "missed", "met"] in rows
    assert ["pouring", "met", "–"] in rows


def test_grades_that_were_all_made_alike_are_told_so_once() -> None:
    alike = [sat(day, 0.5, stamp(), answered("kettle", 0.5, boiling="met")) for day in range(4)]
    told = over_time_text(over_time("kettle", alike))
    assert told.count("the same grader in the same way") == 1
    assert "were graded:" not in told


def test_no_control_character_and_no_forged_line_reaches_the_terminal() -> None:
    evil = "\x1b[2Jmet\n\x9bscore 1.00\u202e"
    harmed = Scored(criterion=evil, level=evil, points=1, evidence=(), reason="So.")
    lost = Unscored(criterion="boiling", why=evil)
    before = AnswerGrade(question="kettle", state="graded", score=0.5, verdicts=(harmed, lost))
    after = answered("kettle", 0.9, boiling="met")
    first, second = sat(1, 0.5, stamp(model=evil), before), sat(2, 0.9, stamp(), after)
    for told in (
        comparison(first.grade, second.grade, names=("1", "2")),
        beside_text(beside(first, second)),
        over_time_text(over_time("kettle", [first, second])),
    ):
        assert not set(told) & set("\x1b\x9b\u202e\r\t")
        assert not [line for line in told.splitlines() if line.startswith("score 1.00")]


def test_many_grades_of_a_question_go_below_one_another() -> None:
    many = [sat(day, 0.5, stamp(), answered("kettle", 0.5, **{LONG.replace("-", "_"): "partial"})) for day in range(10)]
    told = over_time_text(over_time("kettle", many))
    assert narrow(told)
    assert told.count("partial") == 10


def test_rubric_that_changed_is_named_for_its_question_alone() -> None:
    events = session(("question", "How?"))
    old, (_, *said) = fold(events), events
    plan = planned()
    other = started(Planned.of(plan.question, plan.rubric.model_copy(update={"version": 2})))
    new = fold([other, *said])
    one = grade(0.5, stamp(), answered("kettle", 0.5, boiling="met"))
    data = over_time("kettle", [Sat(old, one, 1), Sat(new, one, 1)])
    assert data["grades"][1]["stamps"].keys() == {"rubric"}
    assert beside(Sat(old, one, 1), Sat(new, one, 1))["rubrics"] == ["kettle"]


def test_criteria_in_another_order_are_no_other_rubric() -> None:
    events = session(("question", "How?"))
    old, (_, *said) = fold(events), events
    plan = planned()
    turned = plan.rubric.model_copy(update={"criteria": plan.rubric.criteria[::-1]})
    new = fold([started(Planned.of(plan.question, turned)), *said])
    one = grade(0.5, stamp(), answered("kettle", 0.5, boiling="met"))
    data = over_time("kettle", [Sat(old, one, 1), Sat(new, one, 1)])
    assert data["grades"][1]["stamps"] == {"criteria": ("in one order", "in another")}
    assert not beside(Sat(old, one, 1), Sat(new, one, 1))["rubrics"]


def test_two_sessions_by_track_by_competency_and_on_what_both_have() -> None:
    first = sat(1, 0.6, stamp(), answered("kettle", 0.2, boiling="missed"), answered("pot", 1.0, boiling="met"))
    second = sat(2, 0.8, stamp(votes=3), answered("kettle", 0.8, boiling="met"))
    data = beside(first, second)
    assert data["tracks"] == [{"name": "rag", "mean": [0.6, 0.8], "of": [2, 1]}]
    assert data["competencies"] == [{"name": "Kettles", "mean": [0.6, 0.8], "of": [2, 1]}]
    assert [row["question"] for row in data["questions"]] == ["kettle"]
    assert [(move["criterion"], move["by"]) for move in data["moved"]] == [("boiling", 1.0)]
    assert data["stamps"] == {"votes": ("1", "3")}
    told = beside_text(data)
    assert told.index("votes: 1 → 3") < told.index("score") < told.index("by track") < told.index("in both")
    assert "  kettle · boiling: missed (0.00) → met (1.00)  +1.00" in told
    assert narrow(told)


def test_sessions_with_no_question_in_common_say_so() -> None:
    told = beside_text(
        beside(sat(1, 1, stamp(), answered("kettle", 1, boiling="met")), sat(2, 1, stamp(), answered("pot", 1)))
    )
    assert told.endswith("no question is in both\n")
    assert "made by the same grader in the same way" in told


@pytest.mark.parametrize("count", [1, 4, 30])
def test_reason_for_no_score_is_whole_or_ends_with_an_ellipsis(count: int) -> None:
    quote = ("I have led three judge panels at a bank since 2019 " * count)[:119] + "…"
    why = f"The judge's quote {quote!r} is not in the candidate's turns." + " And so on." * (count - 1)
    lost = AnswerGrade(question="kettle", state="graded", score=0.5, verdicts=(Unscored(criterion="boiling", why=why),))
    told = comparison(
        grade(0.5, stamp(), lost), grade(0.9, stamp(), answered("kettle", 0.9, boiling="met")), names=("1", "2")
    )
    flat = " ".join(told.split())
    assert f"({why[:150]}" in flat
    assert f"({why})" in flat or " …)" in flat
    assert narrow(told)


FAILING = """[models]
grader = "lab/tiny"
[providers.lab]
base_url = "{url}"
[limits]
tries = 1
"""


def graded_then_failed(run: Run, server: ChatServer, tmp_path: Path, *, well: int) -> Path:
    """Plays a session that is graded so many times, and then once by a judge that fails; returns its folder."""
    name = run("start", "--question", "hybrid-search", "--answers", CANDIDATE, "--no-grade").out.strip()
    (tmp_path / "mockint.toml").write_text(FAILING.format(url=server.url))
    server.replies = judged_well
    for votes in range(1, well + 1):
        assert run("grade", name, "--votes", votes).code == 0
    server.replies = lambda request: (500, {})
    assert run("grade", name).code == 6
    return tmp_path / "home" / "sessions" / name


def test_grade_of_which_nothing_was_scored_stays_and_is_not_what_is_shown(
    run: Run, chat_server: ChatServer, tmp_path: Path
) -> None:
    folder = graded_then_failed(run, chat_server, tmp_path, well=2)
    assert len(list((folder / "grades").iterdir())) == 3
    told = run("report", "last").out
    assert told.rstrip() == (folder / "report.md").read_text().rstrip()
    assert "- 2 model calls, 200 tokens in" in told
    (row,) = run("history", "--json").json
    assert (row["score"], row["grades"]) == (1.0, 3)
    assert run("history").out.splitlines()[0].endswith("1.00  strong hire")
    assert run("report", "last", "--json").json["grade"]["stamp"]["votes"] == 2
    lost = run("report", "last", "--grade", "3").out
    assert "model call was made and failed." in lost
    assert "Nothing in your answers" not in lost
    assert "500" in lost
    assert "Verified: 6 verdicts, 2 recorded replies, signal strong hire." in run("replay", "last", "--verify").out
    failed = run("replay", "last", "--verify", "--grade", "3").out
    assert "Verified: 6 verdicts, 0 recorded replies, 1 recorded failure, signal insufficient" in failed
    assert "1 recorded reply," in run("replay", "last", "--verify", "--grade", "1").out


def test_two_newest_grades_that_have_a_score_are_compared(run: Run, chat_server: ChatServer, tmp_path: Path) -> None:
    graded_then_failed(run, chat_server, tmp_path, well=2)
    assert run("compare", "last", "--json").json["grades"] == [1, 2]


def test_grade_that_is_shown_beside_another_session_is_the_one_that_is_named(
    run: Run, chat_server: ChatServer, tmp_path: Path
) -> None:
    other = run("start", "--question", "hybrid-search", "--answers", CANDIDATE).out.strip()
    folder = graded_then_failed(run, chat_server, tmp_path, well=1)
    data = run("compare", other, folder.name, "--json").json
    assert (data["grades"], data["score"][1]) == ([1, 1], 1.0)


def test_grading_that_failed_says_which_grade_stays_shown(run: Run, chat_server: ChatServer, tmp_path: Path) -> None:
    folder = graded_then_failed(run, chat_server, tmp_path, well=1)
    done = run("grade", folder.name)
    assert done.code == 6
    assert "grade 1 stays" in done.err


def test_commands_of_a_user(run: Run, tmp_path: Path) -> None:
    names = [
        run("start", "--question", "hybrid-search", "--answers", CANDIDATE, "--level", level).out.strip()
        for level in ("mid", "senior")
    ]
    data = run("compare", *names, "--json").json
    assert data["sessions"] == names
    assert data["stamps"] == {"target_level": ["mid", "senior"]}
    told = run("compare", "--question", "hybrid-search")
    assert all(name in told.out for name in names)
    assert narrow(told.out)
    assert [row["session"] for row in run("compare", "--question", "hybrid-search", "--json").json["grades"]] == names
    assert "did you mean 'hybrid-search'" in run("compare", "--question", "hybrid-serch").err


def test_page_is_written_beside_what_is_printed(run: Run, tmp_path: Path) -> None:
    names = [
        run("start", "--question", "hybrid-search", "--answers", CANDIDATE, "--level", level).out.strip()
        for level in ("mid", "senior")
    ]
    run("grade", names[0], "--level", "staff")
    for words, title in (
        ((names[0],), "Two grades of one interview"),
        (names, "Two interviews side by side"),
        (("--question", "hybrid-search"), "over time</title>"),
    ):
        plain, done = run("compare", *words), run("compare", *words, "--html", "c.html")
        assert (done.code, done.out) == (0, plain.out), done.err
        assert done.err == "Written: c.html\n"
        page = (tmp_path / "c.html").read_text()
        assert title in page
        assert page.index("target level") < page.index("Scores</h2>")
        assert stat.S_IMODE((tmp_path / "c.html").stat().st_mode) == 0o600
    assert run("compare", *names, "--json", "--html", "c.html").json["sessions"] == names
    refused = run("compare", *names, "--html", "none/c.html")
    assert refused.code == 4
    assert "none/c.html cannot be written" in refused.err


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((), id="nothing"),
        pytest.param(("last", "last"), id="a session and itself"),
        pytest.param(("last",), id="one grade"),
        pytest.param(("last", "--question", "hybrid-search"), id="a session and a question"),
    ],
)
def test_what_cannot_be_compared_is_refused(run: Run, words: tuple[str, ...]) -> None:
    run("start", "--question", "hybrid-search", "--answers", CANDIDATE)
    done = run("compare", *words)
    assert done.code == 2
    assert not done.out
