"""The report: what a candidate reads, and that nothing in it can hurt a reader."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from mockint.grades import AnswerGrade, Evidence, Grade, Scored, Stamp, Unscored
from mockint.grading.grader import grade_parts, offline
from mockint.llm import Exchange, Usage
from mockint.report import (
    Trust,
    as_data,
    calls_told,
    clean,
    comparison,
    markdown,
    moves,
    practise_next,
    scorecard,
    sections,
)
from mockint.transcript import Transcript, fold
from tests.builders import AT, SCALE, criterion, exchange, planned, question, rubric, session, started
from tests.conftest import StandingClock

HOSTILE = "I say <script>alert(1)</script> \x1b[31mred\u202e and\n# a heading\nBecause of boiling it keeps steady."


def graded(*said: Any, **changes: Any) -> tuple[Transcript, Grade]:
    now = fold(session(*said))
    made = grade_parts("s", now.parts, level="mid", scale=SCALE, grader_for=offline, clock=StandingClock())
    return now, asyncio.run(made).model_copy(update=changes)


ANSWERED = (("question", "How?"), ("answer", "Because of boiling. The boiling keeps the boiling steady.", 30))


def test_report_names_the_signal_what_it_rests_on_and_each_criterion_with_its_quote() -> None:
    told = markdown(*graded(*ANSWERED))
    assert "## The signal: " in told
    assert "It rests on 4 criteria over 1 of 1 questions" in told
    assert "> “The boiling keeps the boiling steady.” *(turn 2)*" in told
    assert "### Does the candidate speak of pouring?" in told
    assert "To reach *partial*: Something. For *met*: All of it." in markdown(
        *graded(("question", "How?"), ("answer", "Boiling.", 9))
    )
    assert "### A model answer\n\n> Boil it." in told
    assert "0:30 of 5:00 minutes" in told


def test_three_things_to_practise_are_what_would_bring_most() -> None:
    now, made = graded(("question", "How?"), ("answer", "It is because of the boiling.", 30))
    advice = practise_next(sections(now, made))
    assert len(advice) == 3
    assert [one.lost for one in advice] == sorted((one.lost for one in advice), reverse=True)
    told = markdown(now, made)
    assert "## Three things to practise next" in told
    assert told.count("Read up on *Heat*") == 1


def test_nothing_to_read_up_on_is_not_told() -> None:
    plan = planned().model_copy(update={"rubric": rubric("kettle", study=[])})
    now = fold([started(plan, session="s"), *session(("question", "How?"), ("answer", "Boiling.", 9))[1:]])
    made = grade_parts("s", now.parts, level="mid", scale=SCALE, grader_for=offline, clock=StandingClock())
    told = markdown(now, asyncio.run(made))
    assert "Say it aloud" in told
    assert "Read up on" not in told


def test_what_a_candidate_typed_is_shown_and_does_nothing() -> None:
    told = markdown(*graded(("question", "How?"), ("answer", HOSTILE, 30)))
    assert "&lt;script>" in told
    assert "<script>" not in told
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert "\n# a heading" not in told


def test_what_a_rubric_from_elsewhere_says_does_nothing_either() -> None:
    harm = "Why?\x1b[31m \u202e<img src=x onerror=alert(1)> </b> and a < b?"
    plan = planned().model_copy(
        update={
            "question": question(title=harm),
            "rubric": rubric("kettle", criterion("boiling", asks=harm, probe=harm)),
        }
    )
    now = fold([started(plan, session="s"), *session(*ANSWERED)[1:]])
    made = grade_parts("s", now.parts, level="mid", scale=SCALE, grader_for=offline, clock=StandingClock())
    told = markdown(now, asyncio.run(made))
    assert "### Why?[31m &lt;img src=x onerror=alert(1)> &lt;/b> and a < b?" in told
    assert "<img" not in told
    assert not set(told) & set("\x1b\u202e")


def test_prompted_evidence_is_told_apart() -> None:
    said = (
        *ANSWERED,
        ("probe", "pouring: And the rest?"),
        ("answer", "Because of pouring. Pouring keeps the pouring.", 60),
    )
    told = markdown(*graded(*said))
    assert "you raised 1 by yourself, 1 after the interviewer asked about it" in told or "after a follow-up" in told
    assert "1 follow-up" in told


def verdicts(*made: Scored | Unscored) -> Grade:
    answer = AnswerGrade(question="kettle", state="graded", score=0.5, coverage=0.5, verdicts=made)
    stamp = Stamp(transcript="a", rubric="b", prompt="c", grader="judge", model="lab/x", app="0", at=AT)
    return Grade(
        id="s",
        stamp=stamp,
        target_level="mid",
        signal="insufficient evidence",
        score=0.5,
        coverage=0.5,
        answers=(answer,),
    )


MET = Scored(criterion="boiling", level="met", points=1, evidence=(), reason="You said so.")
LOST = Unscored(criterion="pouring", why="The quote is not in the candidate's turns.")


def test_what_could_not_be_graded_is_told_with_the_reason_and_no_number() -> None:
    told = markdown(fold(session(*ANSWERED)), verdicts(MET, LOST))
    assert "## What could not be graded" in told
    assert "The quote is not in the candidate's turns." in told
    assert "not scored" in told
    assert "50% of what this interview was to show could be graded" in told


@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param((), "Not asked: the session ended before it.", id="not asked"),
        pytest.param((("question", "How?"),), "Asked, and not answered.", id="not answered"),
    ],
)
def test_states_without_an_answer_are_told_apart(said: Any, told: str) -> None:
    assert told in markdown(*graded(*said))


def test_data_holds_the_grade_and_what_was_said() -> None:
    data = as_data(*graded(*ANSWERED))
    assert data["questions"][0]["turns"][1]["text"].startswith("Because of boiling.")
    assert data["grade"]["answers"][0]["verdicts"][0]["criterion"] == "boiling"
    assert "calls" not in data["grade"]


def test_comparison_names_the_stamps_before_what_moved() -> None:
    before, after = verdicts(MET, LOST), verdicts(MET.model_copy(update={"level": "partial", "points": 0.5}), LOST)
    after = after.model_copy(update={"stamp": after.stamp.model_copy(update={"model": "lab/y"})})
    assert [(move.criterion, move.by) for move in moves(before, after)] == [("boiling", -0.5)]
    told = comparison(before, after, names=("1", "2"))
    assert told.index("model: lab/x → lab/y") < told.index("boiling: met (1.00) → partial (0.50)  -0.50")


def test_clean_text_is_one_harmless_line() -> None:
    assert clean("a\x1b[0m\n\tb\u202ec") == "a[0m bc"
    assert clean("a\u2028b\x1fc \x00 d\U000e0041\u061c") == "a b c d"


def test_models_that_stood_in_and_what_the_asking_cost_are_told() -> None:
    now, made = graded(*ANSWERED)
    paid = Usage(prompt_tokens=100, completion_tokens=7, usd=0.002, calls=1)
    call = exchange(role="interviewer", purpose="probe", model="lab/spare", reply="And?", usage=paid)
    told = markdown(replace(now, calls=(call, call)), made)
    assert "with turns by `lab/spare` when it was unavailable: 2 model calls, 200 tokens in, 14 out, 0.0040 USD" in told
    unknown = paid.model_copy(update={"usd": None})
    told = markdown(replace(now, calls=(call.model_copy(update={"usage": unknown}),)), made)
    assert "7 out, price unknown" in told


def test_own_rating_is_set_beside_the_score() -> None:
    now, made = graded(*ANSWERED)
    rows, about = scorecard(
        replace(now, parts=(replace(now.parts[0], rating=5),)), made, Trust("uncalibrated", 9, 0.5, 0.2)
    )
    assert rows == [("Kettle", made.score, "graded", 5)]
    assert "an estimate, from" in about
    assert "The offline grader compares words" in about


# A grader that failed


FALSE = Unscored(criterion="pouring", why="The judge's quote 'I led three panels' is not in the candidate's turns.")


def quoted(name: str, level: str, points: float, prompted: Any = "unprompted") -> Scored:
    evidence = (Evidence(turn=2, quote="The boiling keeps the boiling steady.", prompted=prompted),)
    return Scored(criterion=name, level=level, points=points, evidence=evidence, reason="Said.")


def called(reply: str | None, *, tries: int = 1, calls: int = 0) -> Exchange:
    usage = Usage(prompt_tokens=100, completion_tokens=7, calls=calls)
    return exchange(reply=reply, usage=usage, tries=tries)


def section_of(told: str, heading: str) -> str:
    return told.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_head_does_not_vouch_for_a_quote_that_the_grader_made_up() -> None:
    told = markdown(fold(session(*ANSWERED)), verdicts(quoted("boiling", "met", 1), FALSE))
    head = told[: told.index("| Question |")]
    assert "Every quote" not in told
    assert "in quotation marks as your words was found in them by code" in head
    assert "A quote of the grader's that was not found in them counts for nothing" in head
    assert "one that it gave and that code did not find" in section_of(told, "What could not be graded")
    assert "A quote of the grader's" not in markdown(
        fold(session(*ANSWERED)), verdicts(quoted("boiling", "met", 1), quoted("pouring", "met", 1))
    )


MISSED = Scored(criterion="boiling", level="missed", points=0, evidence=(), reason="Nothing said.")


@pytest.mark.parametrize(
    ("made", "told"),
    [
        pytest.param((MISSED,), "Nothing in your answers earned points.", id="graded low"),
        pytest.param(
            (FALSE,),
            "Of this nothing is known: the grader failed, not you. It rated no criterion in a way",
            id="the grader failed",
        ),
        pytest.param(
            (MISSED, FALSE),
            "Nothing in your answers earned points on the 1 criterion that could be graded. Of 1 other criterion nothing is known: "
            "there the grader failed, not you.",
            id="both",
        ),
        pytest.param((), "There was no answer to grade.", id="no answer"),
    ],
)
def test_candidate_is_not_blamed_where_the_grader_failed(made: tuple[Scored | Unscored, ...], told: str) -> None:
    whole = markdown(fold(session(*ANSWERED)), verdicts(*made))
    assert told in section_of(whole, "Unprompted, or after help")
    assert "could be tied to a criterion" not in whole


def test_score_of_a_part_says_so_in_the_head_at_the_question_and_in_the_scorecard() -> None:
    now, part = fold(session(*ANSWERED)), verdicts(quoted("boiling", "met", 1), FALSE)
    assert "and the score, 0.50 of 1, is of that alone" in markdown(now, part)
    enough = part.model_copy(update={"signal": "hire", "coverage": 0.75})
    told = markdown(now, enough)
    assert "Of what could be graded, 75% of the criteria, your answers earned **0.50** of 1; the rest is not in" in told
    assert "score 0.50 on 1 of 2 criteria: what could be graded" in told
    rows, about = scorecard(now, enough)
    assert rows[0][0] == "Kettle (1 of 2 criteria)"
    assert about == "Score 0.50 of 1, of what could be graded: 75% of the criteria."
    assert "Nothing was lost at this level on what could be graded." in told


def test_score_of_all_is_told_as_before() -> None:
    now, made = graded(*ANSWERED)
    rows, about = scorecard(now, made)
    assert rows[0][0] == "Kettle"
    assert about.startswith(f"Score {made.score:.2f} of 1, 100% of the criteria graded.")
    assert "could be graded" not in markdown(now, made)


def test_only_what_earned_something_counts_as_raised() -> None:
    made = verdicts(
        quoted("boiling", "met", 1),
        quoted("pouring", "partial", 0.35, "probe"),
        quoted("holding", "missed", 0),
        MISSED.model_copy(update={"criterion": "cleaning", "points": 1.0}),
    )
    told = markdown(fold(session(*ANSWERED)), made)
    assert "Of 2 criteria on which your words earned something, you raised 1 by yourself, 1 after the" in told


def test_calls_that_failed_are_told() -> None:
    now, made = fold(session(*ANSWERED)), verdicts(FALSE)
    assert "- No model was called." in markdown(now, made)
    told = markdown(now, made.model_copy(update={"calls": (called(None), called(None))}))
    assert "- 2 model calls were made and failed." in told
    assert "No model was called" not in told


@pytest.mark.parametrize(
    ("calls", "told"),
    [
        pytest.param((), "", id="none"),
        pytest.param((called("x", calls=1),), "1 model call, 100 tokens in, 7 out, price unknown", id="one"),
        pytest.param((called(None),), "1 model call was made and failed", id="one failed"),
        pytest.param((called(None, tries=0),), "1 model call was held back", id="one was never made"),
        pytest.param(
            (called("x", calls=1), called("x", calls=1), called(None)),
            "2 model calls, 300 tokens in, 21 out, price unknown; 1 model call was made and failed",
            id="some failed",
        ),
    ],
)
def test_calls_are_counted_in_words(calls: tuple[Exchange, ...], told: str) -> None:
    assert calls_told(calls, sum((call.usage for call in calls), Usage())) == told


def test_one_criterion_is_one() -> None:
    made = verdicts(quoted("boiling", "met", 1)).model_copy(update={"signal": "hire"})
    assert "It rests on 1 criterion over" in markdown(fold(session(*ANSWERED)), made)
