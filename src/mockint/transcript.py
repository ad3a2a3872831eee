"""The only reading of a session: a pure fold of its events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from mockint.bank import Question
from mockint.content import digest
from mockint.events import (
    AnswerGiven,
    ClarificationGiven,
    DraftSaved,
    Event,
    HintGiven,
    ModelCalled,
    Outcome,
    Paused,
    ProbeAsked,
    ProbeKind,
    QuestionAsked,
    Resumed,
    SelfRated,
    SessionFinished,
    SessionStarted,
    Skipped,
)
from mockint.llm import Exchange
from mockint.rubric import Rubric

Speaker = Literal["interviewer", "candidate"]
TurnKind = Literal["question", "probe", "clarification", "hint", "answer", "asked"]


@dataclass(frozen=True)
class Turn:
    number: int
    speaker: Speaker
    kind: TurnKind
    text: str
    t: float = 0.0
    """Candidate seconds at which it was said."""
    late: bool = False
    """Whether it was given after the question's or the session's time was up."""
    about: str | None = None
    """For a probe: the criterion or red flag that it is after; None when that is not known."""
    probe: ProbeKind | None = None


@dataclass(frozen=True)
class Part:
    """What was said about one question."""

    question: Question
    rubric: Rubric
    rubric_hash: str
    turns: tuple[Turn, ...] = ()
    began: float | None = None
    """Candidate seconds when it was asked; None when it was not."""
    seconds: float = 0.0
    skipped: bool = False
    rating: int | None = None

    @property
    def asked(self) -> bool:
        return self.began is not None

    @property
    def budget_seconds(self) -> float:
        return self.question.minutes * 60.0

    @property
    def answers(self) -> tuple[Turn, ...]:
        """The candidate's own turns: answers, and what they asked."""
        return tuple(turn for turn in self.turns if turn.speaker == "candidate" and turn.text.strip())

    @property
    def answered(self) -> bool:
        return any(turn.kind == "answer" for turn in self.answers)

    @property
    def probes(self) -> tuple[Turn, ...]:
        return tuple(turn for turn in self.turns if turn.kind == "probe")

    @property
    def hints(self) -> int:
        return sum(turn.kind == "hint" for turn in self.turns)

    @property
    def late(self) -> bool:
        return any(turn.late for turn in self.turns)


@dataclass(frozen=True)
class Transcript:
    started: SessionStarted
    parts: tuple[Part, ...]
    t: float = 0.0
    """Candidate seconds so far."""
    current: int | None = None
    """The place in `parts` of the question that is on the table."""
    draft: str = ""
    """What was typed and not sent."""
    paused: bool = False
    outcome: Outcome | None = None
    turns: int = 0
    last: int = 0
    """The last event's `seq`."""
    calls: tuple[Exchange, ...] = ()
    """The exchanges with the interviewer's model."""

    @property
    def part(self) -> Part | None:
        return None if self.current is None else self.parts[self.current]

    @property
    def budget_seconds(self) -> float:
        return self.started.minutes * 60.0

    @property
    def awaits_answer(self) -> bool:
        """Whether the word is with the candidate."""
        part = self.part
        return bool(part and not part.skipped and part.turns and part.turns[-1].speaker == "interviewer")


def fold(events: Iterable[Event]) -> Transcript:
    """Returns what the events amount to; the first one must be `session_started`."""
    stream = iter(events)
    first = next(stream)
    if not isinstance(first, SessionStarted):
        raise TypeError("a log begins with session_started")
    parts = tuple(Part(plan.question, plan.rubric, plan.rubric_hash) for plan in first.plan)
    transcript = Transcript(first, parts, last=first.seq)
    for event in stream:
        transcript = step(transcript, event)
    return transcript


def step(before: Transcript, event: Event) -> Transcript:
    """Returns the transcript after one more event."""
    now = replace(before, t=event.t, last=event.seq)
    match event:
        case SessionStarted():
            raise TypeError("a log has one session_started, its first event")
        case QuestionAsked():
            place = next(i for i, part in enumerate(now.parts) if part.question.id == event.question)
            return _said(replace(now, current=place), event, "question")
        case ProbeAsked():
            return _said(now, event, "probe")
        case HintGiven():
            return _said(replace(now, draft=""), event, "hint")
        case ClarificationGiven():
            asked = Turn(event.turn - 1, "candidate", "asked", event.asked, event.t)
            return _said(now, event, "clarification", before=(asked,))
        case AnswerGiven():
            return _said(now, event, "answer")
        case Skipped():
            return replace(_change(now, event.question, skipped=True), draft="")
        case SelfRated():
            return _change(now, event.question, rating=event.rating)
        case DraftSaved():
            return _change(replace(now, draft=event.text), event.question)
        case Paused():
            return replace(now, paused=True)
        case Resumed():
            return replace(now, paused=False)
        case ModelCalled():
            return replace(now, calls=(*now.calls, event.exchange))
        case SessionFinished():
            return replace(now, outcome=event.outcome)
        case _:
            assert_never(event)


def log_digest(events: Sequence[Event]) -> str:
    """Returns the hash of a log as a grade's stamp has it."""
    return digest([event.model_dump(mode="json") for event in events])


def grading_digest(parts: Sequence[Part]) -> str:
    """Returns the hash of what a grader can see of the parts."""
    return digest([[part.question.id, [[t.number, t.speaker, t.kind, t.text] for t in part.turns]] for part in parts])


Said = QuestionAsked | ProbeAsked | HintGiven | ClarificationGiven | AnswerGiven


def _said(now: Transcript, event: Said, kind: TurnKind, *, before: tuple[Turn, ...] = ()) -> Transcript:
    part = next(part for part in now.parts if part.question.id == event.question)
    began = event.t if part.began is None else part.began
    answer = kind == "answer"
    turn = Turn(
        event.turn,
        "candidate" if answer else "interviewer",
        kind,
        event.text,
        event.t,
        late=answer and (event.t - began > part.budget_seconds or event.t > now.budget_seconds),
        about=event.about if isinstance(event, ProbeAsked) else None,
        probe=event.probe if isinstance(event, ProbeAsked) else None,
    )
    now = _change(now, event.question, turns=(*part.turns, *before, turn), began=began)
    return replace(now, turns=event.turn, draft="" if answer or before else now.draft)


def _change(now: Transcript, question: str, **values: object) -> Transcript:
    parts = []
    for place, part in enumerate(now.parts):
        if part.question.id == question:
            part = replace(part, **values)  # type: ignore[arg-type]
            if place == now.current and part.began is not None:  # a rating comes when the question is long over
                part = replace(part, seconds=now.t - part.began)
        parts.append(part)
    return replace(now, parts=tuple(parts))
