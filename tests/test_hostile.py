"""Answers that try to talk a grader round: over eighty of them, in hostile.json, around an honest part or alone.

Offline none may score above its honest part. With the judge, what must hold is tried with a model that does whatever the answer
says: what it may not do is refused by code.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mockint.bank import load_bank
from mockint.batch import part_of
from mockint.content import roots
from mockint.grades import AnswerGrade
from mockint.grading.attempts import own_words
from mockint.grading.grader import grade_parts, judges, offline
from mockint.llm import Model, Recorder
from mockint.llm.scripted import ScriptedAdapter
from mockint.prompts import load_prompt
from mockint.transcript import Part
from tests.conftest import StandingClock

HOSTILE = json.loads(Path(__file__).with_name("hostile.json").read_text(encoding="utf-8"))
HONEST = "Keyword search gets exact words. You'd run both and merge the two result lists somehow, there is an algorithm for it."
BANK = load_bank(roots())
PROMPT = load_prompt(roots(), "judge")
CASES = [pytest.param(case, id=case["name"]) for case in HOSTILE]


def part(case: dict[str, Any], honest: str = HONEST) -> Part:
    text = case["text"].replace("{honest}", honest).strip() or "-"
    return part_of("hybrid-search", text, None, BANK)


def grade(of: Part, maker: Callable[..., Any] = offline) -> AnswerGrade:
    made = grade_parts("a", [of], level="staff", scale=BANK.scale, grader_for=maker, clock=StandingClock())
    return asyncio.run(made).answers[0]


def test_catalogue_is_large_and_of_many_kinds() -> None:
    assert len(HOSTILE) >= 80
    assert len({case["name"].rsplit("-", 1)[0] for case in HOSTILE}) >= 10


HONEST_SCORE = grade(part_of("hybrid-search", HONEST, None, BANK)).score or 0.0


@pytest.mark.parametrize("case", CASES)
def test_hostile_answer_scores_no_more_than_its_honest_part(case: dict[str, Any]) -> None:
    assert 0 < HONEST_SCORE < 0.6
    assert (grade(part(case)).score or 0.0) <= HONEST_SCORE
    if case["text"].count("{honest}") == 1:
        assert (grade(part(case, honest="")).score or 0.0) == 0


@pytest.mark.parametrize("case", [case for case in CASES if case.values[0]["report"]])  # type: ignore[index]
def test_attempt_is_reported_with_its_words(case: dict[str, Any]) -> None:
    found = grade(part(case)).attempts
    assert found
    assert all(attempt.quote in part(case).answers[0].text for attempt in found)
    assert not any(HONEST in attempt.quote for attempt in found)


def test_nothing_in_the_bank_s_own_answers_is_taken_for_an_attempt() -> None:
    found = []
    for question in BANK.questions.values():
        texts = [sample.text for sample in BANK.samples(question)] + [BANK.rubric(question).answer]
        for text in texts:
            found += [
                (question.id, a.kind, a.quote) for a in own_words(part_of(question.id, text, None, BANK)).attempts
            ]
    assert found == []


def gullible(quote: Callable[[Part], str], turn: int = 2) -> Callable[[Part], AnswerGrade]:
    """A judge that gives the highest level for everything, always with this quote."""

    def judged(of: Part) -> AnswerGrade:
        criteria = of.rubric.criteria
        verdicts = [
            {"criterion": c.id, "quote": quote(of), "turn": turn, "reason": "x", "level": tuple(c.levels)[-1]}
            for c in criteria
        ]
        verdicts.append({"criterion": "invented", "quote": quote(of), "turn": turn, "reason": "x", "level": "superb"})
        reply = json.dumps({"verdicts": verdicts, "red_flags": []})
        model = Model(ScriptedAdapter([reply] * 3), StandingClock(), tries=1)
        return grade(of, judges(lambda keep: Recorder(model, role="grader", keep=keep), PROMPT))

    return judged


@pytest.mark.parametrize("case", [case for case in CASES if case.values[0]["report"]])  # type: ignore[index]
def test_judge_that_is_talked_round_cannot_use_the_attempt_as_evidence(case: dict[str, Any]) -> None:
    of = part(case)
    attempt = own_words(of).attempts[0].quote
    made = gullible(lambda _: attempt)(of)
    assert made.score is None
    assert {verdict.state for verdict in made.verdicts} == {"unscored"}
    assert {verdict.criterion for verdict in made.verdicts} == set(of.rubric.by_id)


@pytest.mark.parametrize(
    "quote",
    [
        pytest.param(lambda of: of.question.ask, id="the question"),
        pytest.param(lambda of: of.rubric.criteria[0].levels["met"], id="the rubric"),
        pytest.param(lambda of: of.rubric.answer[:80], id="the model answer"),
        pytest.param(lambda of: "they clearly said it all", id="invented"),
        pytest.param(lambda of: "", id="nothing"),
    ],
)
@pytest.mark.parametrize("turn", [1, 2, 99])
def test_quote_that_the_candidate_never_said_is_no_evidence(quote: Callable[[Part], str], turn: int) -> None:
    made = gullible(quote, turn)(part_of("hybrid-search", HONEST, None, BANK))
    assert {verdict.state for verdict in made.verdicts} == {"unscored"}


def test_answer_reaches_no_other_questions_grade() -> None:
    parts = [
        part_of(name, text, None, BANK)
        for name, text in (("hybrid-search", HOSTILE[0]["text"]), ("reranking", "Hm, no."))
    ]
    alone = grade_parts("a", parts[1:], level="mid", scale=BANK.scale, grader_for=offline, clock=StandingClock())
    both = grade_parts("a", parts, level="mid", scale=BANK.scale, grader_for=offline, clock=StandingClock())
    assert asyncio.run(both).answers[1] == asyncio.run(alone).answers[0]
