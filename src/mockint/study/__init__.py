"""What one has done so far, as values: each graded interview with its answers and its criteria. All of it is derived from the sessions.

`index` reads it, `review` says what is due again, `plan` lays out the days up to the interview.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # they bring pydantic, and a history that has not changed needs none of it
    from mockint.grades import AnswerState, Prompted
    from mockint.rubric import Signal, TargetLevel


@dataclass(frozen=True)
class Rating:
    """One criterion of one answer, as the newest grade of its session has it."""

    criterion: str
    weight: float
    level: str | None
    """None when it could not be scored."""
    points: float | None
    """0 to 1, after the price of prompted evidence; None when it could not be scored."""
    prompted: Prompted | None
    """How the evidence came; None without evidence."""
    expected: bool
    """Whether it is expected at the level that was aimed at; else it is a bonus."""


@dataclass(frozen=True)
class Answered:
    question: str
    track: str
    competency: str
    state: AnswerState
    score: float | None
    coverage: float
    took_seconds: float
    budget_seconds: float
    self_rating: int | None
    """1 to 5; None when the candidate gave none."""
    ratings: tuple[Rating, ...]


@dataclass(frozen=True)
class Sitting:
    """One graded interview."""

    session: str
    at: datetime
    """When it began, in UTC."""
    level: TargetLevel
    signal: Signal
    score: float | None
    coverage: float
    grader: str
    """`offline`, or the judge's model."""
    answers: tuple[Answered, ...]

    def day(self, zone: tzinfo | None) -> date:
        """Returns the day on which it began, by the calendar of that zone."""
        return self.at.astimezone(zone).date()


def last_asked(sittings: Iterable[Sitting]) -> dict[str, datetime]:
    """Returns when each question was last answered."""
    asked: dict[str, datetime] = {}
    for sitting in sorted(sittings, key=lambda sitting: sitting.at):
        for answer in sitting.answers:
            if answer.state in ("graded", "ungraded"):
                asked[answer.question] = sitting.at
    return asked
