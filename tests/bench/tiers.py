"""Measures what it saves to grade offline first and to pass on only what is unsure, and what agreement that costs.

    .venv/bin/python tests/bench/tiers.py

The bank's samples with their stated levels stand for the strong grader: a judge that rates as careful readers do comes to a kappa of 0.98
with them. The offline grader was fitted on the same samples, so that its own figures are some hundredths too good here; the ten folds of
tools/fit_offline.py say how many. For each threshold of `grade --first offline --unsure`: the share that is passed on, the quadratic
kappa of all ratings with the stated ones, and the mean error of a score.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from mockint.bank import load_bank
from mockint.batch import doubt
from mockint.calibration import Trial, agreement, samples, try_out
from mockint.clock import SystemClock
from mockint.content import roots
from mockint.grading.grader import offline

THRESHOLDS = (1.01, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


def main() -> None:
    bank = load_bank(roots())
    gold = samples(bank, list(bank.questions.values()))
    trial = asyncio.run(try_out(gold, bank, maker=offline, clock=SystemClock()))
    doubts = {score.answer: doubt_of(score.given) for score in trial.scores}
    print("| --unsure | passed on | kappa | exact | error of a score |\n|---|---|---|---|---|")
    for least in THRESHOLDS:
        passed = {name for name, found in doubts.items() if found >= least}
        found = agreement(graded_again(trial, passed))
        told = f"{found.kappa.value:.3f} | {found.exact.value:.3f} | {found.score_error.value:.3f}"
        print(f"| {least if least <= 1 else 'nothing'} | {len(passed) / len(doubts):.0%} | {told} |")


def doubt_of(score: float | None) -> float:
    """As `doubt` of a grade of this score."""
    verdict = {"state": "scored", "votes": None}
    return doubt({"answers": [{"state": "graded", "score": score, "verdicts": [verdict]}]})


def graded_again(trial: Trial, names: set[str]) -> Trial:
    """Returns the trial as it is when these answers are rated as stated."""
    ratings = [
        replace(rating, given=rating.stated, given_points=rating.stated_points) if rating.answer in names else rating
        for rating in trial.ratings
    ]
    scores = [replace(score, given=score.stated) if score.answer in names else score for score in trial.scores]
    return replace(trial, ratings=tuple(ratings), scores=tuple(scores))


if __name__ == "__main__":
    main()
