"""Answers from elsewhere: each line stands for itself."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from mockint.bank import load_bank
from mockint.batch import grade_answers, read_lines
from mockint.content import roots
from mockint.errors import UsageError
from mockint.grading.grader import offline
from tests.conftest import StandingClock

BM25 = "BM25 matches the literal term, so product codes and error codes are found that the embedding blurs."


def graded(*lines: Any) -> list[dict[str, Any]]:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    bank = load_bank(roots())
    work = grade_answers(texts, "a.jsonl", bank, level="mid", maker=offline, clock=StandingClock())
    return asyncio.run(work)


def test_answer_is_graded_with_a_quote_from_its_own_words() -> None:
    (grade,) = graded({"id": "a-1", "question": "hybrid-search", "answer": BM25})
    evidence = [e for v in grade["answers"][0]["verdicts"] for e in v["evidence"]]
    assert grade["id"] == "a-1"
    assert evidence
    assert all(e["quote"] in BM25 for e in evidence)
    assert grade["stamp"]["grader"] == "offline"


def test_only_the_candidates_turns_are_evidence() -> None:
    turns = [
        {"role": "interviewer", "text": BM25},
        {"role": "candidate", "text": "Yes."},
        {"role": "interviewer", "text": "Why?"},
        {"role": "candidate", "text": "Rare words and names, such as part numbers, need an exact match."},
    ]
    (grade,) = graded({"id": "a-1", "question": "hybrid-search", "turns": turns})
    evidence = [e for v in grade["answers"][0]["verdicts"] for e in v["evidence"]]
    assert {e["turn"] for e in evidence} == {4}
    assert {e["prompted"] for e in evidence} == {"probe"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        pytest.param("{", "a.jsonl:1: Invalid JSON", id="no JSON"),
        pytest.param({"id": "x", "question": "nope", "answer": "y"}, "no question 'nope'", id="unknown question"),
        pytest.param({"id": "x", "question": "hybrid-search", "answer": " "}, "the answer is empty", id="empty"),
        pytest.param({"id": "x", "question": "hybrid-search"}, "either an answer or turns", id="neither"),
        pytest.param({"id": "x", "question": "hybrid-search", "answr": "y"}, "answr", id="unknown key"),
    ],
)
def test_line_that_cannot_be_graded_is_told_and_the_rest_goes_on(line: Any, told: str) -> None:
    bad, good = graded(line, {"id": "a-2", "question": "hybrid-search", "answer": BM25})
    assert told in bad["error"]["message"]
    assert "answers" not in bad
    assert good["answers"][0]["state"] == "graded"


def test_file_that_cannot_be_read_is_named(tmp_path: Any) -> None:
    with pytest.raises(UsageError, match=r"none\.jsonl"):
        read_lines(tmp_path / "none.jsonl")


def test_rubric_made_from_a_reference_sentence_without_cues_tells_answers_apart(tmp_path: Path) -> None:
    (tmp_path / "bank" / "rag").mkdir(parents=True)
    (tmp_path / "rubrics" / "rag").mkdir(parents=True)
    (tmp_path / "bank" / "rag" / "pitch.yaml").write_text(
        "id: pitch\ntrack: rag\ntitle: Pitch\nkind: concept\nlevels: [junior]\nminutes: 4\ntopics: [sound]\n"
        "ask: Darla plucked a string that she had pulled tighter. What did she hear?\n"
    )
    (tmp_path / "rubrics" / "rag" / "pitch.yaml").write_text(
        "question: pitch\nversion: 1\ncompetency: Sound\nanswer: When the string is tighter the pitch is higher.\ncriteria:\n"
        "  - {id: higher, asks: Does the candidate say that the pitch is higher?, weight: 1, expected_from: junior,\n"
        "     levels: {missed: Something else., met: When the string is tighter the pitch will be higher.}, probe: And then?}\n"
    )
    bank = load_bank(roots([tmp_path]))
    answers = {"right": "The tighter string has a higher pitch.", "wrong": "It swings back and forth for a while."}
    lines = [json.dumps({"id": name, "question": "pitch", "answer": text}) for name, text in answers.items()]
    work = grade_answers(lines, "a", bank, level="junior", maker=offline, clock=StandingClock())
    assert {grade["id"]: grade["score"] for grade in asyncio.run(work)} == {"right": 1.0, "wrong": 0.0}
