"""The only place for what a grade is: verdicts with their evidence, stamped with everything that produced them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from mockint.content import Frozen
from mockint.llm import Exchange, Usage
from mockint.rubric import Signal, TargetLevel

Prompted = Literal["unprompted", "probe", "hint"]
AttemptKind = Literal["order", "forgery", "plea", "claim", "hidden", "encoded", "others"]
AnswerState = Literal["graded", "not_asked", "not_answered", "ungraded"]


class Evidence(Frozen):
    turn: int
    quote: str
    """Verbatim from that turn, which is the candidate's."""
    prompted: Prompted = "unprompted"


HELP: tuple[Prompted, ...] = ("unprompted", "probe", "hint")
"""From none to the most."""


def most_help(evidence: Iterable[Evidence]) -> Prompted | None:
    """Returns after what help the evidence came, the most of it where there are several quotes; None without evidence."""
    return max((one.prompted for one in evidence), key=HELP.index, default=None)


def earned(points: float | None, prompted: Prompted | None) -> bool:
    """Whether evidence earned something: it is counted by the help that it came after only then."""
    return bool(points and prompted)


class Scored(Frozen):
    criterion: str
    state: Literal["scored"] = "scored"
    level: str
    points: float = Field(ge=0, le=1)
    """The level's share of the criterion, after the price of prompted evidence."""
    evidence: tuple[Evidence, ...]
    reason: str
    why: None = None
    votes: dict[str, int] | None = None
    """How many votes each level got; None when there was one vote."""

    @property
    def contested(self) -> bool:
        """Whether no level has a majority: a person should look."""
        return self.votes is not None and 2 * max(self.votes.values()) <= sum(self.votes.values())


class Unscored(Frozen):
    """A verdict that could not be made, and why: never zero, never a default."""

    criterion: str
    state: Literal["unscored"] = "unscored"
    level: None = None
    points: None = None
    evidence: tuple[Evidence, ...] = ()
    reason: None = None
    why: str


Verdict = Annotated[Scored | Unscored, Field(discriminator="state")]


class Raised(Frozen):
    """A red flag that the candidate's words raised."""

    id: str
    evidence: tuple[Evidence, ...]


class Attempt(Frozen):
    """Something in an answer that is addressed to the grader. It is evidence for nothing."""

    turn: int
    kind: AttemptKind
    quote: str


class AnswerGrade(Frozen):
    question: str
    state: AnswerState
    score: float | None = None
    """Points over the points that could be scored, both weighted; None when nothing was."""
    coverage: float = 0.0
    """The share of criteria that could be scored."""
    verdicts: tuple[Verdict, ...] = ()
    red_flags: tuple[Raised, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    """What the answer addresses to the grader."""
    why: str | None = None


class Stamp(Frozen):
    """Everything that produced the grade. Grades with unlike stamps are compared only with the difference shown."""

    transcript: str
    rubric: str
    prompt: str
    grader: Literal["judge", "offline"]
    model: str
    votes: int = 1
    app: str
    at: datetime
    events: int | None = None
    """How many events of the log the grade has read; None for an answer from elsewhere."""
    replies: str | None = None
    """The hash of the recorded replies; None when no model was asked."""
    redacted_from: str | None = None
    """The hash of the transcript that was graded, when words have been taken out of it since; None otherwise."""


class Grade(Frozen):
    format: Literal[1] = 1
    id: str
    stamp: Stamp
    target_level: TargetLevel
    signal: Signal
    score: float | None
    coverage: float
    answers: tuple[AnswerGrade, ...]
    usage: Usage = Usage()
    calls: tuple[Exchange, ...] = ()
    """The exchanges with the grader's model, so that the grade can be made again without it."""
