"""The shipped tracks, played whole and offline: the same seed gives the same, and strong answers beat weak ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mockint.bank import load_bank, load_origins
from mockint.content import roots
from mockint.lint import lint
from tests.conftest import Run

TRACKS = ["rag", "agents", "fine-tuning"]
BANDS = ["strong no hire", "no hire", "hire", "strong hire"]


@pytest.fixture
def script(tmp_path: Path) -> Any:
    def written(sample: str) -> Path:
        bank = load_bank(roots())
        lines = {
            question.id: {"answer": found.text}
            for question in bank.questions.values()
            for found in bank.samples(question)
            if found.name == sample
        }
        path = tmp_path / f"{sample}.yaml"
        path.write_text(yaml.safe_dump(lines, allow_unicode=True), encoding="utf-8")
        return path

    return written


@pytest.mark.parametrize("track", TRACKS)
def test_track_has_ten_questions_with_rubric_and_three_samples(track: str) -> None:
    bank = load_bank(roots())
    questions = [question for question in bank.questions.values() if question.track == track]
    assert len(questions) >= 10
    assert all(len(bank.samples(question)) >= 3 for question in questions)


def test_every_reported_question_is_covered() -> None:
    covered = {origin for question in load_bank(roots()).questions.values() for origin in question.origins}
    assert load_origins(roots()).keys() - covered == set()


def test_shipped_content_has_no_problem() -> None:
    assert [str(problem) for problem in lint(roots())] == []


@pytest.mark.parametrize("track", TRACKS)
def test_strong_answers_earn_a_better_signal_than_weak_ones(track: str, run: Run, script: Any) -> None:
    how = ("start", "--json", "--track", track, "--level", "mid", "--seed", "1", "--answers")
    strong, weak = run(*how, script("strong")).json, run(*how, script("weak")).json
    assert BANDS.index(strong["signal"]) > BANDS.index(weak["signal"])
    assert strong["score"] > weak["score"] + 0.2


def test_same_seed_gives_the_same_questions_probes_and_grades(run: Run, script: Any) -> None:
    seen = []
    for _ in range(2):
        name = run("start", "--track", "rag", "--seed", "7", "--answers", script("middling")).out.strip()
        turns = [(turn["kind"], turn["text"]) for turn in run("replay", name, "--json").json]
        graded = run("report", name, "--format", "json").json["grade"]
        seen.append((turns, graded["answers"], graded["score"], graded["signal"]))
    assert seen[0] == seen[1]


def test_without_a_seed_what_was_not_answered_yet_comes_first(run: Run, script: Any) -> None:
    def asked(*words: str) -> str:
        name = run("start", "--track", "research", "--questions", "1", *words, "--answers", script("weak")).out.strip()
        (answer,) = run("report", name, "--format", "json").json["grade"]["answers"]
        return str(answer["question"])

    assert len({asked() for _ in range(3)}) == 3
    assert len({asked("--seed", "1") for _ in range(2)}) == 1


def test_other_seed_draws_other_questions(run: Run, script: Any) -> None:
    asked = set()
    for seed in "1234":
        name = run("start", "--track", "rag", "--seed", seed, "--answers", script("weak")).out.strip()
        asked.add(tuple(turn["text"] for turn in run("replay", name, "--json").json if turn["kind"] == "question"))
    assert len(asked) > 1
