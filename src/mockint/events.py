"""The only place for what can happen in the room. Events are what mockint truly stores; all else is derived."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from mockint.bank import Question
from mockint.content import Frozen, digest
from mockint.llm import Exchange
from mockint.rubric import Rubric, Scale, TargetLevel

ProbeKind = Literal["missing", "deepen", "challenge"]
"""About what was left out, what was only touched on, or what was wrong."""
Outcome = Literal["completed", "expired", "quit"]


class Stamped(Frozen):
    seq: int = Field(ge=1)
    at: datetime
    """UTC."""
    t: float = Field(ge=0)
    """Seconds that the candidate has had so far: only listening counts."""


class Planned(Frozen):
    """A question with its rubric, as they were when the session began."""

    question: Question
    rubric: Rubric
    question_hash: str
    rubric_hash: str

    @classmethod
    def of(cls, question: Question, rubric: Rubric) -> Planned:
        return cls(
            question=question,
            rubric=rubric,
            question_hash=digest(question.model_dump(mode="json")),
            rubric_hash=digest(rubric.model_dump(mode="json")),
        )


class Roles(Frozen):
    interviewer: str
    grader: str


class SessionStarted(Stamped):
    kind: Literal["session_started"] = "session_started"
    format: Literal[1] = 1
    session: str
    plan: tuple[Planned, ...] = Field(min_length=1)
    scale: Scale
    level: TargetLevel
    minutes: int
    """The whole session's budget; a question's own stands in the question."""
    probes: int
    """Most probes about one question."""
    strict_time: bool = False
    """Whether what stands is submitted when a question's time is up; else it may be finished, and is marked late."""
    self_rate: bool = False
    """Whether the candidate rates each answer at the end."""
    seed: int
    models: Roles
    prompts: dict[str, str]
    """The hash of each prompt file that the interviewer uses."""
    app: str


class Spoken(Stamped):
    """Something said aloud: it has a turn of its own in the transcript."""

    question: str
    turn: int = Field(ge=1)
    text: str


class QuestionAsked(Spoken):
    kind: Literal["question_asked"] = "question_asked"


class ProbeAsked(Spoken):
    kind: Literal["probe_asked"] = "probe_asked"
    about: str
    """The criterion, or the red flag, that it is after."""
    probe: ProbeKind
    withheld: tuple[str, ...] = ()
    """What drafts of a model's gave away, and code kept back."""
    authored: bool = False
    """Whether the rubric's own probe stands in for the model's."""


class ClarificationGiven(Spoken):
    """The candidate asked (the turn before this one), and this is what they were told."""

    kind: Literal["clarification_given"] = "clarification_given"
    asked: str
    withheld: tuple[str, ...] = ()
    authored: bool = False
    """Whether an authored sentence stands in for the model's."""


class HintGiven(Spoken):
    kind: Literal["hint_given"] = "hint_given"


class AnswerGiven(Spoken):
    kind: Literal["answer_given"] = "answer_given"
    cut: bool = False
    """Whether the clock submitted it, in the middle of typing."""


class DraftSaved(Stamped):
    kind: Literal["draft_saved"] = "draft_saved"
    question: str
    text: str


class Skipped(Stamped):
    kind: Literal["skipped"] = "skipped"
    question: str
    cut: bool = False
    """Whether the clock ended it, with nothing typed."""


class SelfRated(Stamped):
    kind: Literal["self_rated"] = "self_rated"
    question: str
    rating: int = Field(ge=1, le=5)


class Paused(Stamped):
    kind: Literal["paused"] = "paused"


class Resumed(Stamped):
    kind: Literal["resumed"] = "resumed"


class ModelCalled(Stamped):
    kind: Literal["model_called"] = "model_called"
    question: str
    exchange: Exchange


class SessionFinished(Stamped):
    kind: Literal["session_finished"] = "session_finished"
    outcome: Outcome


Event = (
    SessionStarted
    | QuestionAsked
    | ProbeAsked
    | ClarificationGiven
    | HintGiven
    | DraftSaved
    | AnswerGiven
    | Skipped
    | SelfRated
    | Paused
    | Resumed
    | ModelCalled
    | SessionFinished
)
EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
